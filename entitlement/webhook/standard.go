package webhook

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"
)

// standardSignature reads the headers of Standard Webhooks
// (github.com/standard-webhooks/standard-webhooks, "Webhook headers"): the
// signature is over "id.timestamp.body", and there may be several, with spaces
// between. Its asymmetric ones, "v1a", are not by a secret and are passed over,
// as is any other version.
func standardSignature(h http.Header) (s signature, err error) {
	if s.event, err = header(h, "Webhook-Id"); err != nil {
		return s, err
	}
	timestamp, err := header(h, "Webhook-Timestamp")
	if err != nil {
		return s, err
	}
	all, err := header(h, "Webhook-Signature")
	if err != nil {
		return s, err
	}
	// A dot in the id would let it take in the timestamp, and that the body.
	if checkText(s.event) != nil || strings.Contains(s.event, ".") {
		return s, errHeader
	}
	if s.at, err = unixTime(timestamp); err != nil {
		return s, err
	}
	s.before = s.event + "." + timestamp + "."
	s.macs, err = standardMACs(all)
	return s, err
}

// standardMACs passes over what cannot be one of ours.
func standardMACs(all string) (macs [][]byte, err error) {
	if strings.Count(all, " ") >= maxSignatures {
		return nil, errHeader
	}
	for one := range strings.SplitSeq(all, " ") {
		version, text, _ := strings.Cut(one, ",")
		mac, err := base64.StdEncoding.Strict().DecodeString(text)
		if version == "v1" && err == nil && len(mac) == sha256.Size {
			macs = append(macs, mac)
		}
	}
	return macs, nil
}
