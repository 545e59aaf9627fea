package protocol

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// For tells whether the worker called hostname has to obey. The error says that the pattern is unusable.
func (r ControlRequest) For(hostname string) (bool, error) {
	switch {
	case len(r.Destination) > 0:
		return slices.Contains(r.Destination, hostname), nil
	case r.Pattern == "" || r.Matcher == "":
		return true, nil
	}
	var expression string
	switch r.Matcher {
	case "glob":
		expression = globExpression(r.Pattern)
	case "pcre": // Python's re.match: anchored at the start only
		expression = `\A(?:` + r.Pattern + `)`
	default:
		return false, fmt.Errorf("match hostname: %w: no matcher is called %q", ErrSyntax, r.Matcher)
	}
	pattern, err := regexp.Compile(expression)
	if err != nil {
		return false, fmt.Errorf("match hostname: %w pattern: %w", ErrSyntax, err)
	}
	return pattern.MatchString(hostname), nil
}

// globExpression translates a pattern of Python's fnmatch: *, ?, [abc], [a-c], [!abc].
func globExpression(glob string) string {
	var out strings.Builder
	out.WriteString(`(?s)\A`)
	for i := 0; i < len(glob); {
		switch c := glob[i]; c {
		case '*':
			out.WriteString(".*")
		case '?':
			out.WriteByte('.')
		case '[':
			if class, size := globClass(glob[i:]); size > 0 {
				out.WriteString(class)
				i += size
				continue
			}
			out.WriteString(`\[`)
		default:
			next := i + 1
			for next < len(glob) && !strings.ContainsRune("*?[", rune(glob[next])) {
				next++
			}
			out.WriteString(regexp.QuoteMeta(glob[i:next]))
			i = next
			continue
		}
		i++
	}
	out.WriteString(`\z`)
	return out.String()
}

// globClass translates a character class at the start of glob; size 0 says that its bracket is never closed.
func globClass(glob string) (class string, size int) {
	from, negated := 1, ""
	if strings.HasPrefix(glob, "[!") {
		from, negated = 2, "^"
	}
	if from >= len(glob) {
		return "", 0
	}
	length := strings.IndexByte(glob[from+1:], ']') // a ] at the first place is an ordinary character
	if length < 0 {
		return "", 0
	}
	inner := glob[from : from+1+length]
	inner = strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `^`, `\^`).Replace(inner)
	return "[" + negated + inner + "]", from + length + 2
}
