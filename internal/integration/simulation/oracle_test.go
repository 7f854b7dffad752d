package simulation_test

import (
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/keyhatch/keyhatch/store"
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// unknownToken returns a well-formed token that no key has.
func unknownToken(rng *rand.Rand) string {
	body := "sim_"
	for range 30 {
		body += string(alphabet[rng.IntN(62)])
	}
	n, digits := crc32.ChecksumIEEE([]byte(body)), ""
	for len(digits) < 6 {
		digits = string(alphabet[n%62]) + digits
		n /= 62
	}
	return body + digits
}

const (
	busBound  = time.Second      // time until another instance knows of a change
	lostBound = 13 * time.Second // time until another instance knows of a change while the bus is broken
	settling  = 20 * time.Second // time after a fault of the bus until busBound applies
	recovery  = 3 * time.Second  // time after an outage until it causes no more errors
	untilDead = 1000000 * time.Second
)

// wrong returns the calls with wrong results.
func (w *world) wrong(all []observation) (faults []string) {
	w.changes = map[store.Digest][]change{}
	for _, o := range all {
		for digest, at := range w.ledger.seen[o.n] {
			w.changes[digest] = append(w.changes[digest], change{o, at})
		}
	}
	for _, o := range all {
		if fault := w.judge(o, all); fault != "" {
			faults = append(faults, fmt.Sprintf("%v\n\t%s", o, fault))
		}
	}
	return append(faults, w.ledger.excesses...)
}

func (w *world) judge(o observation, all []observation) string {
	if o.i.isDead() { // no client gets the result
		return ""
	}
	switch o.outcome {
	case "unavailable":
		if !w.brokenWithin(o.start-recovery, o.end, kind.ofTruth) && !w.untried(o) {
			return "an outage, although the store and the provider work"
		}
		return ""
	case "not propagated":
		if !w.brokenWithin(o.start-settling, o.end, func(k kind) bool { return k.ofBus() || k.ofShared() || k.ofTruth() }) && !w.restartedWithin(o.start-settling, o.end) {
			return "not propagated, although the bus and the shared cache work"
		}
		return ""
	}
	if o.what != "validate" {
		return w.judgeChange(o)
	}
	return w.judgeValidation(o, all)
}

// judgeChange compares the result of a change with the store.
func (w *world) judgeChange(o observation) string {
	switch o.outcome {
	case "ok":
		if _, came := w.ledger.seen[o.n]; !came && o.what != "plan changed" {
			return "done, although the store was not called"
		}
	case "not entitled":
		if yes, no := w.plan.within(o.about.owner, o.start-w.bound(), o.end); !no && yes {
			return "not entitled, although the owner was entitled all the time"
		}
	case "limit reached", "conflict", "not found", "limited":
	default:
		return "not one of the outcomes"
	}
	return ""
}

// judgeValidation checks that the result of a validation was true at some time after the latest
// change by this instance, and within the bound.
func (w *world) judgeValidation(o observation, all []observation) string {
	from := o.start - w.bound()
	for _, c := range w.changes[o.about.digest] {
		if c.i == o.i && max(c.end, c.at) <= o.start {
			from = max(from, c.at)
		}
	}
	if w.bus && w.stale == 0 && !w.restartedWithin(o.start-2*settling, o.end) {
		from = max(from, w.knownSince(o, lostBound))
	}
	if w.coherent(o) {
		from = max(from, w.knownSince(o, busBound))
	}
	can := w.statuses(o, from)
	if o.outcome == "ok" || o.outcome == "not entitled" {
		if !can["ok"] {
			return fmt.Sprintf("admitted, although since %v the statuses of the key were %v", from, can)
		}
		return w.judgePlan(o, all)
	}
	if !can[o.outcome] {
		return fmt.Sprintf("refused, although since %v the statuses of the key were %v", from, can)
	}
	return ""
}

// judgePlan is like judgeValidation, for the owner's plan.
func (w *world) judgePlan(o observation, all []observation) string {
	if !w.plans {
		if o.outcome == "ok" {
			return ""
		}
		return "not entitled, without plans"
	}
	from := o.start - w.bound()
	for _, c := range all {
		if c.what == "plan changed" && c.about.owner == o.about.owner && c.i == o.i && c.end <= o.start {
			from = max(from, c.start)
		}
	}
	yes, no := w.plan.within(o.about.owner, from, o.end)
	if o.outcome == "ok" && !yes || o.outcome == "not entitled" && !no {
		return fmt.Sprintf("%s, and since %v the owner was entitled: %t, not entitled: %t", o.outcome, from, yes, no)
	}
	return ""
}

// bound returns the maximum age of the state that a validation uses. With StaleIfError, it may
// be older than the TTL if a look-up fails or is slow, but never older than StaleIfError.
func (w *world) bound() time.Duration { return max(w.ttl, w.stale) }

// coherent reports whether the bus worked for so long that a change reaches the other
// instances within a second.
func (w *world) coherent(o observation) bool {
	return w.bus && o.start > settling && !w.brokenWithin(o.start-settling, o.end, func(kind) bool { return true }) &&
		!w.restartedWithin(o.start-settling, o.end)
}

// untried reports whether no look-up of the instance in the store, or in the provider, has
// succeeded since an outage. The first look-up after the outage is the circuit breaker's trial.
// Until it returns, other look-ups are refused.
func (w *world) untried(o observation) bool {
	for source, ofSource := range [...]func(kind) bool{kind.ofStore, kind.ofPlans} {
		var ended time.Duration
		for _, f := range w.faults {
			if ofSource(f.kind) && (f.instance < 0 || f.instance == o.i.n) && f.to <= o.end {
				ended = max(ended, f.to)
			}
		}
		since := func(at time.Duration) bool { return ended <= at && at <= o.start }
		if ended > 0 && !slices.ContainsFunc(o.i.answers[source], since) {
			return true
		}
	}
	return false
}

func (w *world) restartedWithin(from, to time.Duration) bool {
	return slices.ContainsFunc(w.restarts, func(at time.Duration) bool { return from <= at && at <= to })
}

// knownSince returns the time up to which this instance must know all changes of the key. It is
// the start of the call minus the bound. It is earlier if an earlier change had not returned by
// then, or was never published because its instance ended, or if the old entry could not be
// deleted from the shared cache, where an instance that started since the change may read it.
func (w *world) knownSince(o observation, bound time.Duration) time.Duration {
	from := o.start - bound
	for _, c := range w.changes[o.about.digest] {
		undeleted := w.shared && w.restartedWithin(c.at-busBound, o.start)
		untold := c.outcome != "ok" && (undeleted || !slices.Contains(w.instances, c.i))
		if c.at < from && (c.end > o.start-bound || untold) {
			from = c.at - 1
		}
	}
	return from
}

// statuses returns all statuses of the key during the call, according to any record that was
// stored at the given time or later. The clocks are right, so only records can be stale.
func (w *world) statuses(o observation, from time.Duration) map[string]bool {
	found, disabled := map[string]bool{}, false
	versions := w.ledger.history[o.about.digest]
	if len(versions) == 0 || versions[0].at > from {
		found["unknown"] = true
	}
	for i, v := range versions {
		until := untilDead
		if i+1 < len(versions) {
			until = versions[i+1].at
		}
		if v.at > o.end || until < from {
			continue
		}
		for _, status := range w.statusesOf(v.record, o.start, o.end) {
			found[status] = true
		}
		disabled = disabled || !v.record.DisabledAt.IsZero()
	}
	// The instance that disabled the key remembers that, and applies it to the record that it
	// reads, which may be another version.
	if disabled && found["ok"] {
		found["disabled"] = true
	}
	return found
}

// statusesOf returns the statuses of one record between from and to.
func (w *world) statusesOf(r store.Record, from, to time.Duration) []string {
	before := "ok"
	if !r.DisabledAt.IsZero() {
		before = "disabled"
	}
	ends := r.ExpiresAt.Sub(w.began)
	switch {
	case !r.RevokedAt.IsZero():
		return []string{"revoked"}
	case r.ExpiresAt.IsZero() || to < ends:
		return []string{before}
	case from >= ends:
		return []string{"expired"}
	}
	return []string{before, "expired"}
}

// checkLimit records that an owner has too many keys. It is called at each write. A key in its
// grace period does not count while its successor counts. If that successor is rotated without
// a grace period, the key may count beyond the limit.
func (l *ledger) checkLimit(w *world, owner string, now time.Duration) {
	records := map[string]store.Record{}
	for _, versions := range l.history {
		if r := versions[len(versions)-1].record; r.Owner == owner {
			records[r.ID] = r
		}
	}
	at, count, working := w.began.Add(now), 0, 0
	for _, r := range records {
		successor := records[r.ReplacedBy]
		if r.IsCurrent(at) {
			working++
		}
		if r.CountsAgainstLimit(at, &successor) && successor.RevokeReason != store.ReasonRotated {
			count++
		}
	}
	if count > w.limit || working > 2*w.limit {
		l.excesses = append(l.excesses, fmt.Sprintf("%v: %s has %d keys that count and %d that are not revoked, with a limit of %d", now, owner, count, working, w.limit))
	}
}

// report formats a failed run: the settings, the faults, and the calls with the keys for which
// a result was wrong.
func (w *world) report(all []observation, faults []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d (set KEYHATCH_SEED to run it alone), %+v, restarts at %v\n", w.seed, w.settings, w.restarts)
	for _, f := range w.faults {
		fmt.Fprintf(&b, "%v to %v: %v of instance %d\n", f.from, f.to, f.kind, f.instance)
	}
	concerned := strings.Join(faults, "\n")
	for _, o := range all {
		if o.about.id == "" || strings.Contains(concerned, o.about.id) {
			fmt.Fprintln(&b, o)
		}
	}
	for d, versions := range w.ledger.history {
		for _, v := range versions {
			if strings.Contains(concerned, v.record.ID) {
				fmt.Fprintf(&b, "key %x %s at %v: disabled %v, revoked %v, expires %v\n", d[:4], v.record.ID, v.at, v.record.DisabledAt, v.record.RevokedAt, v.record.ExpiresAt)
			}
		}
	}
	return b.String() + concerned
}
