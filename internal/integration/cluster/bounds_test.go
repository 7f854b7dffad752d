package cluster_test

import (
	"fmt"
	"time"
)

// A judge knows how long an instance may use an old state.
type judge struct {
	setup
	*history
}

// bound returns how long the instance of e may ignore a change that another instance has
// published.
func (j *judge) bound(change, e *event) time.Duration {
	quiet, store, settled := true, false, int64(0)
	for _, f := range j.troubles {
		if f.begin > e.end {
			continue
		}
		if f.end > change.begin-int64(5*time.Second) {
			quiet = false
		}
		settled = max(settled, min(f.end, e.end))
		// A key whose cache entry expired during an outage may be accepted for up to a TTL after
		// the outage.
		if f.store && f.end+int64(j.CacheTTL) > change.begin-int64(5*time.Second) {
			store = true
		}
	}
	if quiet && change.answer == accepted {
		return soon
	}
	longest := j.CacheTTL
	if store {
		longest = max(j.CacheTTL, j.StaleIfError)
	}
	// If there were no faults for as long as their detection takes, all instances know of the
	// change.
	return min(longest, max(time.Duration(settled-change.end), 0)+detection+soon)
}

// mistakes returns the wrong results.
func (j *judge) mistakes() (all []string) {
	validations, changes := j.byKey()
	for k, of := range validations {
		refused := map[[2]int]int64{} // for each process of an instance, the time at which it first refused the key as revoked
		for i := range of {
			e := &of[i]
			if at := [2]int{e.member, e.life}; e.answer == revoked && (refused[at] == 0 || e.end < refused[at]) {
				refused[at] = e.end
			}
		}
		for i := range of {
			e := &of[i]
			if wrong := j.mistake(e, changes[k], refused[[2]int{e.member, e.life}]); wrong != "" {
				all = append(all, fmt.Sprintf("key %d, instance %d: %s at %s: %s", k, e.member, e.answer, time.Unix(0, e.begin).Format("05.000"), wrong))
			}
		}
	}
	return all
}

func (j *judge) mistake(e *event, changes []event, refused int64) string {
	switch e.answer {
	case accepted:
		if refused != 0 && e.begin > refused {
			return fmt.Sprintf("accepted %v after this instance had refused it as revoked", time.Duration(e.begin-refused))
		}
		return j.tooLate(e, changes)
	case revoked:
		if !begun(e, changes, "revoke", "rotate") {
			return "refused as revoked before any call had begun to revoke it"
		}
	case disabled:
		if !begun(e, changes, "disable") {
			return "refused as disabled before any call had begun to disable it"
		}
	case unavailable, "":
	default:
		return "an unexpected result for a key that exists"
	}
	return ""
}

// tooLate looks for a change of which the instance must have known.
func (j *judge) tooLate(e *event, changes []event) string {
	for i := range changes {
		c := &changes[i]
		ends := c.verb == "revoke" || c.verb == "rotate"
		if !c.made() || c.end >= e.begin || !ends && (c.verb != "disable" || enabled(c, e, changes)) {
			continue
		}
		late := time.Duration(e.begin - c.end)
		if c.member == e.member {
			return fmt.Sprintf("accepted %v after the %s by this instance had returned", late, c.verb)
		}
		if b := j.bound(c, e); late > b {
			return fmt.Sprintf("accepted %v after instance %d had published the %s (%s), want at most %v", late, c.member, c.verb, c.answer, b)
		}
	}
	return ""
}

// enabled reports whether the key may have been enabled between a disabling and
// a validation.
func enabled(d, e *event, changes []event) bool {
	for _, c := range changes {
		if c.verb == "enable" && c.end > d.begin && c.begin < e.end {
			return true
		}
	}
	return false
}

// begun reports whether a change by one of the verbs began before the validation ended.
func begun(e *event, changes []event, verbs ...string) bool {
	for _, c := range changes {
		for _, v := range verbs {
			if c.verb == v && c.begin < e.end {
				return true
			}
		}
	}
	return false
}
