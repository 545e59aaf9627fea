package peers

import (
	"slices"
	"testing"
)

// BenchmarkSideBySide runs the parts in turn, prints their tables and writes them to artifacts/.
func BenchmarkSideBySide(b *testing.B) {
	s := newSite(b)
	s.report = newReport(b)
	for _, part := range []struct {
		name string
		run  func(*testing.B, *site)
	}{
		{"noop", noop}, {"latency", latency}, {"idle", idle}, {"fleet", fleet}, {"kill", kill}, {"heavy", heavy}, {"scaling", scaling},
	} {
		b.Run(part.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op") // the tables have the figures
			part.run(b, s)
		})
	}
	s.report.write(b)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
