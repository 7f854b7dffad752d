package cluster_test

import (
	"fmt"
	"slices"
	"time"
)

// percentile is 0 of nothing.
func percentile(of []time.Duration, p int) time.Duration {
	if len(of) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(of))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// spread is how durations are told in a line.
func spread(of []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s", short(percentile(of, 50)), short(percentile(of, 99)), short(percentile(of, 100)))
}

// short has as many digits as can be believed.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
