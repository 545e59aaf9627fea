package e2e

import "go.uber.org/zap/zapcore"

// zapFatal keeps the log of expected failures out of the test's output.
const zapFatal = zapcore.FatalLevel
