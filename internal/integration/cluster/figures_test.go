package cluster_test

import (
	"fmt"
	"time"

	"github.com/keyhatch/keyhatch/internal/testkit"
)

// spread is how durations are told in a line.
func spread(of []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s", short(testkit.Percentile(of, 50)), short(testkit.Percentile(of, 99)), short(testkit.Percentile(of, 100)))
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
