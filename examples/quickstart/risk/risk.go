// Package risk scores storm risk over a generated weather grid: the CPU-heavy work of the quickstart.
//
// Everything is integer arithmetic on a SplitMix64 generator until the last division, so that Python computes the same digits (see risk.py).
package risk

import "context"

// Request is what to compute; the fields are the task's parameters, in Python's order and names.
type Request struct {
	Region string
	Seed   int64
	// Size is the number of grid cells per side, Runs the number of Monte-Carlo runs per cell.
	Size int `default:"64"`
	Runs int `default:"200"`
}

// Score is the outcome.
type Score struct {
	Region string `json:"region"`
	// Cells is how many cells were looked at; Storms how many runs of how many (Draws) ended in a storm.
	Cells  int   `json:"cells"`
	Draws  int64 `json:"draws"`
	Storms int64 `json:"storms"`
	// Score is the share of storms; Worst the cell with the most, as row and column.
	Score float64 `json:"score"`
	Worst [2]int  `json:"worst"`
}

// next is SplitMix64.
func next(state *uint64) uint64 {
	*state += 0x9E3779B97F4A7C15
	z := *state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// Compute runs the simulation: each cell has a wind and a pressure, each run draws a gust and a drop on top of them; both high is a storm. It looks at ctx after every row.
func Compute(ctx context.Context, r Request) (Score, error) {
	score := Score{Region: r.Region, Cells: r.Size * r.Size, Draws: int64(r.Size) * int64(r.Size) * int64(r.Runs)}
	seed := uint64(r.Seed)
	for _, c := range []byte(r.Region) {
		seed = seed*31 + uint64(c)
	}
	most := int64(-1)
	for row := range r.Size {
		if err := context.Cause(ctx); err != nil {
			return Score{}, err
		}
		for column := range r.Size {
			storms := cell(seed+uint64(row*r.Size+column)*0x9E3779B97F4A7C15, r.Runs)
			score.Storms += storms
			if storms > most {
				most, score.Worst = storms, [2]int{row, column}
			}
		}
	}
	if score.Draws > 0 {
		score.Score = float64(score.Storms) / float64(score.Draws)
	}
	return score, nil
}

// cell counts the storms of one cell.
func cell(state uint64, runs int) int64 {
	wind, pressure := next(&state)>>54, next(&state)>>54 // 0..1023 each
	var storms int64
	for range runs {
		gust, drop := next(&state)>>54, next(&state)>>54
		if wind+gust > 1400 && pressure+drop > 1200 {
			storms++
		}
	}
	return storms
}
