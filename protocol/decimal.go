package protocol

import (
	"fmt"
	"strconv"
	"strings"
)

// Decimal is Python's decimal.Decimal: its text, as str() writes it, so that no digit, trailing zero or exponent is lost.
type Decimal string

// ParseDecimal reads all that Python's Decimal() reads from ASCII text, NaN and Infinity too.
func ParseDecimal(text string) (Decimal, error) {
	canonical, ok := canonicalDecimal(strings.ReplaceAll(strings.TrimSpace(text), "_", ""))
	if !ok {
		if len(text) > 80 {
			text = text[:80] + "..."
		}
		return "", fmt.Errorf("%w: %q is not a decimal number", ErrType, text)
	}
	return Decimal(canonical), nil
}

// String is Python's str().
func (d Decimal) String() string {
	return string(d)
}

func canonicalDecimal(text string) (string, bool) {
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "-", text[1:]
	} else {
		text = strings.TrimPrefix(text, "+")
	}
	lower := strings.ToLower(text)
	switch {
	case lower == "inf", lower == "infinity":
		return sign + "Infinity", true
	case strings.HasPrefix(lower, "nan") && allDigits(lower[3:]):
		return sign + "NaN" + strings.TrimLeft(lower[3:], "0"), true
	case strings.HasPrefix(lower, "snan") && allDigits(lower[4:]):
		return sign + "sNaN" + strings.TrimLeft(lower[4:], "0"), true
	}
	mantissa, exponentText, hasExponent := strings.Cut(lower, "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole+fraction == "" || !allDigits(whole) || !allDigits(fraction) {
		return "", false
	}
	exponent := 0
	if hasExponent {
		unsigned := strings.TrimLeft(exponentText, "+-")
		if len(exponentText)-len(unsigned) > 1 || unsigned == "" || !allDigits(unsigned) {
			return "", false
		}
		var err error
		if exponent, err = strconv.Atoi(exponentText); err != nil || exponent > 999_999_999_999_999_999 || exponent < -1_999_999_999_999_999_997 {
			return "", false
		}
	}
	coefficient := strings.TrimLeft(whole+fraction, "0")
	if coefficient == "" {
		coefficient = "0"
	}
	return sign + decimalText(coefficient, exponent-len(fraction)), true
}

// decimalText is Decimal.__str__: plain where the exponent is small, else scientific.
func decimalText(coefficient string, exponent int) string {
	left := exponent + len(coefficient) // digits before the point
	point := left
	if exponent > 0 || left <= -6 {
		point = 1
	}
	var out strings.Builder
	switch {
	case point <= 0:
		out.WriteString("0." + strings.Repeat("0", -point) + coefficient)
	case point >= len(coefficient):
		out.WriteString(coefficient + strings.Repeat("0", point-len(coefficient)))
	default:
		out.WriteString(coefficient[:point] + "." + coefficient[point:])
	}
	if left != point {
		fmt.Fprintf(&out, "E%+d", left-point)
	}
	return out.String()
}
