package bench

import (
	"math"
	"slices"
	"time"
)

// HeatBounds are the upper bounds of a heat row's fields: eight to a decade, from 10 us. The last field has no bound.
var HeatBounds = heatBounds()

func heatBounds() []time.Duration {
	var bounds []time.Duration
	for i := 0; ; i++ {
		b := time.Duration(math.Round(1e4*math.Pow(10, float64(i)/8))) * time.Nanosecond
		if b > longest {
			return bounds
		}
		bounds = append(bounds, b)
	}
}

// heat counts a histogram by HeatBounds.
func heat(l *Latencies) []int64 {
	row := make([]int64, len(HeatBounds)+1)
	for _, bar := range l.histogram.Distribution() {
		if bar.Count > 0 {
			i, _ := slices.BinarySearch(HeatBounds, time.Duration(bar.From)*time.Microsecond)
			row[i] += bar.Count
		}
	}
	return row
}
