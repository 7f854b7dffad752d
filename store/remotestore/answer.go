package remotestore

// The bodies of responses with status 200. A field that must be present is a
// pointer, so that decoding shows its absence.

type doneAnswer struct {
	Done bool `json:"done"` // always true
}

type recordAnswer struct {
	Record record `json:"record"`
}

type listAnswer struct {
	Records []record `json:"records"`
	Next    cursor   `json:"next,omitzero"`
}

type countAnswer struct {
	Count *int `json:"count"`
}

type revokeAnswer struct {
	Record  record `json:"record"`
	Changed *bool  `json:"changed"`
}

type revokeAllAnswer struct {
	Records []record `json:"records"`
}

type rotateAnswer struct {
	Old record `json:"old"`
	Now record `json:"now"`
}

// A refusal is the body of every other response that stands for a sentinel.
type refusal struct {
	Code string `json:"code"`
}
