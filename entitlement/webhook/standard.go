package webhook

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/keyhatch/keyhatch/internal/text"
)

// standardSignature reads the headers of Standard Webhooks
// (github.com/standard-webhooks/standard-webhooks, "Webhook headers"). The
// signature covers "id.timestamp.body". There may be several signatures,
// separated by spaces. Asymmetric ones, "v1a", and those of any other version
// are skipped.
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
	// With a dot in the ID, another split into ID, timestamp and body would
	// have the same signature.
	if text.CheckID(s.event) != nil || strings.Contains(s.event, ".") {
		return s, errHeader
	}
	if s.at, err = unixTime(timestamp); err != nil {
		return s, err
	}
	s.before = s.event + "." + timestamp + "."
	s.macs, err = standardMACs(all)
	return s, err
}

// standardMACs skips signatures of another version or form.
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
