package cluster_test

import (
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// spread formats percentiles of durations in one line.
func spread(of []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s", short(testkit.Percentile(of, 50)), short(testkit.Percentile(of, 99)), short(testkit.Percentile(of, 100)))
}

// short formats a duration with its significant digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
