package insurance

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/lovage-go/lovage/once"
	"github.com/lovage-go/lovage/tasks"
)

type weatherIn struct {
	// File to read; without one it is generated, as the weather service's would be.
	File string `default:""`
}

type weatherOut struct {
	Region string `json:"region"`
	Rows   int    `json:"rows"`
}

func weatherSync() once.Task[weatherIn, weatherOut] {
	return once.Task[weatherIn, weatherOut]{
		Name:    "task_weather_sync",
		Needs:   []tasks.Dimension{tasks.CorrelationID, tasks.AccessMode, tasks.RegionCode, tasks.WeatherType, tasks.TimeRangeDim},
		Batches: syncWeather,
	}
}

// syncWeather upserts a file in batches of a thousand rows; a killed run goes on behind its last one.
func syncWeather(ctx context.Context, b *once.Batches, in weatherIn) (weatherOut, error) {
	d := b.Dimensions()
	name := in.File
	if name == "" {
		generated, err := generate(d)
		if err != nil {
			return weatherOut{}, err
		}
		defer os.Remove(generated)
		name = generated
	}
	file, err := os.Open(name)
	if err != nil {
		return weatherOut{}, once.Permanent("file_unreadable", err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return weatherOut{}, once.Permanent("file_unreadable", err)
	}
	done := 0
	if err := b.Resume(&done); err != nil {
		return weatherOut{}, err
	}
	for done < len(rows) {
		to := min(len(rows), done+1000)
		err := b.Step(ctx, to, func(tx *once.Tx) error { return upsert(ctx, tx, d, rows[done:to]) })
		if err != nil {
			return weatherOut{}, err
		}
		done = to
	}
	return weatherOut{Region: d.RegionCode, Rows: done}, nil
}

func upsert(ctx context.Context, tx *once.Tx, d tasks.Dimensions, rows [][]string) error {
	for _, row := range rows {
		if len(row) != 3 {
			return once.Permanent("file_malformed", fmt.Errorf("a row has %d fields", len(row)))
		}
		_, err := tx.Exec(ctx, `INSERT INTO weather (region_code, weather_type, at, wind, hail) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (region_code, weather_type, at) DO UPDATE SET wind = excluded.wind, hail = excluded.hail`,
			d.RegionCode, d.WeatherType, row[0], row[1], row[2])
		if err != nil {
			return err
		}
	}
	return nil
}

// generate writes the hourly weather of the time range into a file.
func generate(d tasks.Dimensions) (string, error) {
	file, err := os.CreateTemp("", "weather-*.csv")
	if err != nil {
		return "", once.Retryable("file_unwritable", err)
	}
	defer file.Close()
	w := csv.NewWriter(io.Writer(file))
	for at := d.TimeRange.From; at.Before(d.TimeRange.To); at = at.Add(time.Hour) {
		state := seedOf(d.RegionCode+d.WeatherType) + uint64(at.Unix())
		wind, hail := float64(splitmix(&state)>>54)/10, float64(splitmix(&state)>>54)/100
		if err := w.Write([]string{at.Format(time.RFC3339), strconv.FormatFloat(wind, 'f', 2, 64), strconv.FormatFloat(hail, 'f', 2, 64)}); err != nil {
			return file.Name(), err
		}
	}
	w.Flush()
	return file.Name(), w.Error()
}
