package remotestore

import "github.com/keyhatch/keyhatch/internal/recordjson"

// The bodies of responses with status 200. A field that must be present is a
// pointer, so that decoding shows its absence.

type doneAnswer struct {
	Done bool `json:"done"` // always true
}

type recordAnswer struct {
	Record recordjson.Record `json:"record"`
}

type listAnswer struct {
	Records []recordjson.Record `json:"records"`
	Next    cursor   `json:"next,omitzero"`
}

type countAnswer struct {
	Count *int `json:"count"`
}

type revokeAnswer struct {
	Record  recordjson.Record `json:"record"`
	Changed *bool  `json:"changed"`
}

type revokeAllAnswer struct {
	Records []recordjson.Record `json:"records"`
}

type rotateAnswer struct {
	Old recordjson.Record `json:"old"`
	Now recordjson.Record `json:"now"`
}

// A refusal is the body of every other response that stands for a sentinel.
type refusal struct {
	Code string `json:"code"`
}
