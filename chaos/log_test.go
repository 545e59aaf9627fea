package chaos

import "go.uber.org/zap/zapcore"

// quietCore passes warnings and the one information that the tests wait for.
type quietCore struct{ zapcore.Core }

// onlyReadyBelowWarn keeps a worker process's output small: thousands of failures and starts are expected here.
func onlyReadyBelowWarn(core zapcore.Core) zapcore.Core { return quietCore{core} }

func (c quietCore) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

func (c quietCore) With(fields []zapcore.Field) zapcore.Core { return quietCore{c.Core.With(fields)} }

func (c quietCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if entry.Level < zapcore.WarnLevel && entry.Message != "ready" {
		return checked
	}
	return checked.AddCore(entry, c)
}
