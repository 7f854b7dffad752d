package proof_test

// The API and the page on which customers manage their keys.
var panelMutants = []mutant{
	{"panel: no owner is an owner", "apikey/selfservice/caller.go", edits{
		"case err != nil || owner == \"\":",
		"case err != nil:",
	}, "./apikey/selfservice", "TestNobodyIsLetIn"},
	{"panel: an owner beside an error", "apikey/selfservice/caller.go", edits{
		"case err != nil || owner == \"\":",
		"case owner == \"\":",
	}, "./apikey/selfservice", "TestNobodyIsLetIn"},
	{"panel: sessions that cannot be looked up are no session", "apikey/selfservice/caller.go", edits{
		"\t\treturn caller{}, apikey.ErrUnavailable\n",
		"\t\treturn caller{}, errSignedOut\n",
	}, "./apikey/selfservice", "TestNobodyIsLetIn"},
	{"panel: any key manages keys", "apikey/selfservice/caller.go", edits{
		"h.options.KeyScope == \"\" || !p.Allows",
		"h.options.KeyScope != \"\" && !p.Allows",
	}, "./apikey/selfservice", "TestKeysManageNoMoreThanThemselves"},
	{"panel: a key that came with a session goes by the session", "apikey/selfservice/caller.go", edits{
		"if !h.keys.CarriesKey(r) {",
		"if !h.keys.CarriesKey(r) || r.Header.Get(\"X-Session\") != \"\" {",
	}, "./apikey/selfservice", "TestKeysManageNoMoreThanThemselves"},
	{"panel: a key hands out more scopes than its own", "apikey/selfservice/caller.go", edits{
		"if !c.key.Allows(s) {",
		"if false && !c.key.Allows(s) {",
	}, "./apikey/selfservice", "TestKeysEscalateNowhere"},
	{"panel: a key hands out keys that outlive it", "apikey/selfservice/caller.go", edits{
		"return own.IsZero() || !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(own)",
		"return own.IsZero() || !k.ExpiresAt.After(own)",
	}, "./apikey/selfservice", "TestKeysEscalateNowhere"},
	{"panel: a key prolongs what is longer than itself", "apikey/selfservice/update.go", edits{
		"allowed = allowed && c.who.mayHandOut(k)",
		"allowed = c.who.mayHandOut(k)",
	}, "./apikey/selfservice", "TestKeysEscalateNowhere"},
	{"panel: unknown fields passed over", "apikey/selfservice/call.go", edits{
		"\td.DisallowUnknownFields()\n",
		"",
	}, "./apikey/selfservice", "TestOwnerCannotBeNamed"},
	{"panel: unknown parameters passed over", "apikey/selfservice/call.go", edits{
		"if len(all) > 0 {",
		"if len(all) > 9 {",
	}, "./apikey/selfservice", "TestOwnerCannotBeNamed"},
	{"panel: any content type", "apikey/selfservice/call.go", edits{
		"kind != \"application/json\" ||",
		"kind == \"\" ||",
	}, "./apikey/selfservice", "TestCrossOrigin|TestContentTypes"},
	{"panel: other sites may write", "apikey/selfservice/selfservice.go", edits{
		"h.crossOrigin.Check(r) != nil",
		"false && h.crossOrigin.Check(r) != nil",
	}, "./apikey/selfservice", "TestCrossOrigin"},
	{"panel: refusals without the headers", "apikey/selfservice/selfservice.go", edits{
		"\tprotect(w.Header())\n\troute, id := find(r.URL.Path)\n",
		"\troute, id := find(r.URL.Path)\n\tif route != nil {\n\t\tprotect(w.Header())\n\t}\n",
	}, "./apikey/selfservice", "TestHeaders"},
	{"panel: an outage is no error", "apikey/selfservice/revoke.go", edits{
		"err != nil {\n\t\treturn 0, nil, err\n\t}\n\treturn http.StatusNoContent",
		"err != nil {\n\t\treturn http.StatusNoContent, nil, nil\n\t}\n\treturn http.StatusNoContent",
	}, "./apikey/selfservice", "TestOutagesSurface"},
	{"panel: an outage takes the verdict that it wraps", "apikey/selfservice/problem.go", edits{
		"case errors.Is(err, apikey.ErrUnavailable):\n\t\treturn unavailable\n",
		"",
	}, "./apikey/selfservice", "TestOutagesSurface"},
	{"panel: scopes that are not offered", "apikey/selfservice/create.go", edits{
		"if o.Entitled && !c.grantable(o.Entitlement, s) {",
		"if !o.Entitled && !c.grantable(o.Entitlement, s) {",
	}, "./apikey/selfservice", "TestRefusals|TestNoScopesWithoutAnOffer"},
	{"panel: a plan that covers everything offers everything", "apikey/selfservice/scope.go", edits{
		"return e.Scopes != nil && entitlement",
		"return e.Scopes == nil || entitlement",
	}, "./apikey/selfservice", "TestNoScopesWithoutAnOffer"},
	{"panel: as many creations as anybody likes", "apikey/selfservice/quota.go", edits{
		"wait > 0 {",
		"wait > time.Hour {",
	}, "./apikey/selfservice", "TestTenAMinute"},
	{"panel: the zero expiry is never", "apikey/selfservice/create.go", edits{
		"p.ExpiresAt.IsZero() {",
		"false {",
	}, "./apikey/selfservice", "TestRefusals"},
	{"panel: a retry makes a second key", "apikey/params.go", edits{
		"if p.IdempotencyKey != \"\" {",
		"if false {",
	}, "./apikey", "TestIdempotencyKeyMakesOneKey"},
	{"panel: an attempt is everybody's", "apikey/create.go", edits{
		"strconv.Itoa(len(owner)) + \":\" + owner + idempotencyKey",
		"strconv.Itoa(0) + idempotencyKey",
	}, "./apikey", "TestIdempotencyKeyMakesOneKey"},
}
