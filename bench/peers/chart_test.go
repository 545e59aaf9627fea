package peers

import (
	"fmt"
	"image/color"
	"os"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// panels makes bars of each table that has a unit. The axis is logarithmic: the peers are orders of magnitude apart.
func panels(tables []*table) []*plot.Plot {
	var drawn []*plot.Plot
	for _, t := range tables {
		if t.unit == "" {
			continue
		}
		p := plot.New()
		p.Title.Text, p.X.Label.Text = t.title, t.unit
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		labels := slices.Clone(t.labels)
		slices.Reverse(labels) // the first on top
		least := slices.Min(t.values)
		for i, v := range t.values {
			at := float64(len(t.values) - 1 - i)
			bar, err := plotter.NewPolygon(plotter.XYs{{X: least / 3, Y: at - 0.35}, {X: v, Y: at - 0.35}, {X: v, Y: at + 0.35}, {X: least / 3, Y: at + 0.35}})
			if err != nil {
				continue // not drawable: the table has it
			}
			bar.Color = color.RGBA{R: 0x9a, G: 0xa5, B: 0xb1, A: 0xff}
			if t.labels[i] == "Lovage" {
				bar.Color = color.RGBA{R: 0x1d, G: 0x7a, B: 0x4c, A: 0xff}
			}
			bar.LineStyle.Width = 0
			value, err := plotter.NewLabels(plotter.XYLabels{XYs: plotter.XYs{{X: v * 1.05, Y: at - 0.12}}, Labels: []string{fmt.Sprintf("%.4g", v)}})
			if err != nil {
				continue
			}
			p.Add(bar, value)
		}
		p.NominalY(labels...)
		p.X.Min, p.X.Max = least/3, slices.Max(t.values)*3
		drawn = append(drawn, p)
	}
	return drawn
}

// picture writes the panels into one file.
func picture(path string, panels []*plot.Plot) error {
	const columns = 2
	rows := (len(panels) + columns - 1) / columns
	canvas := vgimg.New(28*vg.Centimeter, vg.Length(rows)*8*vg.Centimeter)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Centimeter, PadY: vg.Centimeter, PadTop: vg.Points(8), PadBottom: vg.Points(8), PadLeft: vg.Points(8), PadRight: vg.Points(8)}
	whole := draw.New(canvas)
	for i, p := range panels {
		p.Draw(tiles.At(whole, i%columns, i/columns))
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(file); err != nil {
		return err
	}
	return file.Close()
}
