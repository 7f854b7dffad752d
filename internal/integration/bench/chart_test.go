package bench_test

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// chartFile returns the name of the file for the chart, or "".
func chartFile() string { return os.Getenv("KEYHATCH_CHART") }

// A chart draws the time per validation against the number of keys.
type chart struct {
	names []string
	keys  []int
	times [][]nanoseconds // for each number of keys, one for each name
}

func (c *chart) add(keys int, programs []program, times []nanoseconds) {
	c.names = nil
	for _, p := range programs {
		c.names = append(c.names, p.name)
	}
	c.keys, c.times = append(c.keys, keys), append(c.times, times)
}

// The area of the lines, in pixels, within an image of 790 by 420.
const left, right, top, bottom = 70.0, 730.0, 60.0, 360.0

var colours = []string{"#767676", "#0b5fff", "#c2410c", "#15803d"}

// svg returns the image. Both axes are logarithmic.
func (c *chart) svg() string {
	lowest, highest := math.Inf(1), 0.0
	for _, times := range c.times {
		for _, t := range times {
			lowest, highest = min(lowest, float64(t)), max(highest, float64(t))
		}
	}
	lowest, highest = math.Exp2(math.Floor(math.Log2(lowest/25)))*25, math.Exp2(math.Ceil(math.Log2(highest/25)))*25
	x := func(keys float64) float64 { return left + (right-left)*math.Log10(keys)/6 }
	y := func(ns float64) float64 {
		return bottom - (bottom-top)*math.Log(ns/lowest)/math.Log(highest/lowest)
	}

	var s strings.Builder
	s.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 790 420" font-family="sans-serif" font-size="13" fill="#222">` +
		"\n<title>Time per validation against the number of keys</title>\n<rect width=\"790\" height=\"420\" fill=\"#fff\"/>\n")
	for keys := 1.0; keys <= 1e6; keys *= 10 {
		fmt.Fprintf(&s, `<text x="%.0f" y="%.0f" text-anchor="middle">%s</text>`+"\n", x(keys), bottom+20, grouped(int(keys)))
	}
	for ns := lowest; ns <= highest*1.01; ns *= 2 {
		fmt.Fprintf(&s, `<path d="M%.0f %.1fH%.0f" stroke="#ddd"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`+"\n",
			left, y(ns), right, left-8, y(ns)+4, grouped(int(ns)))
	}
	fmt.Fprintf(&s, `<text x="%.0f" y="%.0f" text-anchor="middle">cached keys, validated at random</text><text x="10" y="24">ns per validation</text>`+"\n", (left+right)/2, bottom+44)
	for i, name := range c.names {
		var points []string
		for j, keys := range c.keys {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(float64(keys)), y(float64(c.times[j][i]))))
		}
		legend := 200 + 130*i
		fmt.Fprintf(&s, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2.5"/>`, strings.Join(points, " "), colours[i])
		fmt.Fprintf(&s, `<path d="M%d 20h22" stroke="%s" stroke-width="4"/><text x="%d" y="24">%s</text>`+"\n", legend, colours[i], legend+28, name)
	}
	return s.String() + "</svg>\n"
}

// grouped returns n with commas between its thousands.
func grouped(n int) string {
	if n < 1_000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1_000), n%1_000)
}
