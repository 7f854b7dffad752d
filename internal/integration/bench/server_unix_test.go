//go:build unix

package bench_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/keyhatch/keyhatch/apikey"
)

// serverVariable makes this binary the server that BenchmarkServer measures.
const serverVariable = "KEYHATCH_BENCH_SERVER"

const (
	serverKeys  = 100_000
	connections = 4
	turn        = 2_000 // requests to a path in a round
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serve()
		return
	}
	os.Exit(m.Run())
}

// BenchmarkServer measures a whole server of net/http with keys at random, in a process of
// its own, so that the clients are not measured. Few turns have a garbage collection, so the
// medians leave it out.
func BenchmarkServer(b *testing.B) {
	t := newTable(fmt.Sprintf("A server with %d keys: CPU time and allocations of a request, and what a middleware adds to them", serverKeys),
		"", "CPU ns", "allocations", "added ns", "added allocs", "to SHA-256")
	b.Run("all", func(b *testing.B) {
		s := startServer(b)
		paths := []struct{ name, path string }{{"nothing", "/nothing"}, {"keyhatch: Require", "/require"}, {"golang-lru by hand", "/byhand"}}
		spent, added := make([][]usage, len(paths)), make([][]usage, len(paths))
		var hash []nanoseconds
		inRounds(b, longRounds, func(int) {
			for i, p := range paths {
				spent[i] = append(spent[i], s.spend(b, p.path))
			}
			bare := spent[0][len(spent[0])-1]
			for i := range paths {
				used := spent[i][len(spent[i])-1]
				added[i] = append(added[i], usage{used.CPU - bare.CPU, used.Allocs - bare.Allocs})
			}
			f := floor(s.Tokens[:turn])
			took, _ := f.time(1, turn, 0)
			hash = append(hash, took)
		})
		for i, p := range paths {
			cpu, allocs := medianUsage(spent[i])
			cpuMore, allocsMore := medianUsage(added[i])
			t.row(p.name, cpu, allocs, cpuMore, allocsMore, ratio(cpuMore/median(hash)))
		}
	})
	t.print()
}

// A usage is what a server has used, in all or per request.
type usage struct {
	CPU    nanoseconds
	Allocs float64
}

func medianUsage(all []usage) (cpu nanoseconds, allocs string) {
	var times []nanoseconds
	var counts []float64
	for _, u := range all {
		times, counts = append(times, u.CPU), append(counts, u.Allocs)
	}
	return median(times), fmt.Sprintf("%.1f", median(counts))
}

// A server is a process that serves requests. It writes this to its standard output when it
// is ready.
type server struct {
	Address string
	Tokens  []string

	client http.Client // of the process that measures
}

func startServer(b *testing.B) *server {
	b.Helper()
	cmd := exec.Command(must(os.Executable()))
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	cmd.Stderr = os.Stderr
	in, out := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close() // the server ends
		cmd.Wait()
	})
	s := server{client: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections}}}
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		b.Fatal(err)
	}
	return &s
}

// spend makes the requests of a turn, and returns what each has cost the server.
func (s *server) spend(b *testing.B, path string) usage {
	b.Helper()
	get := func(path string) []byte {
		r := newRequest("http://"+s.Address+path, s.Tokens[rand.IntN(len(s.Tokens))])
		r.RequestURI = "" // a client does not set it
		response := must(s.client.Do(r))
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			panic(response.Status)
		}
		return must(io.ReadAll(response.Body))
	}
	var before, after usage
	var clients sync.WaitGroup
	err := json.Unmarshal(get("/usage"), &before)
	for range connections {
		clients.Go(func() {
			for range turn / connections {
				get(path)
			}
		})
	}
	clients.Wait()
	if err == nil {
		err = json.Unmarshal(get("/usage"), &after)
	}
	if err != nil {
		b.Fatal(err)
	}
	return usage{(after.CPU - before.CPU) / turn, (after.Allocs - before.Allocs) / turn}
}

// serve is the main function of the server. It returns when its input ends.
func serve() {
	m := openManager(newEverywhere(serverKeys), serverKeys*5/4, apikey.Options{})
	s := server{Tokens: create(openManager(nowhere{}, 1_000, apikey.Options{}), serverKeys)}
	fill(m, s.Tokens)
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "hello")
	})
	mux := http.NewServeMux()
	mux.Handle("/nothing", hello)
	mux.Handle("/require", m.Require("reports:read")(hello))
	mux.Handle("/byhand", requireByHand(withLRU(s.Tokens, refuse), hello))
	mux.HandleFunc("/usage", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(used())
	})
	listener := must(net.Listen("tcp", "127.0.0.1:0"))
	s.Address = listener.Addr().String()
	go http.Serve(listener, mux)
	runtime.GC()
	json.NewEncoder(os.Stdout).Encode(&s)
	io.Copy(io.Discard, os.Stdin)
}

// used returns what this process has used since it started.
func used() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return usage{nanoseconds(r.Utime.Nano() + r.Stime.Nano()), float64(stats.Mallocs)}
}
