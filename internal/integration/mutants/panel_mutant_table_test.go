package mutants_test

// The API and the page on which customers manage their keys.
var panelMutants = []mutant{
	{"panel: a weaker key rotates", "apikey/selfservice/rotate.go", edits{
		"\tif err := c.checkChange(nil); err != nil {\n\t\treturn 0, nil, err\n\t}\n", "",
	}, "./apikey/selfservice", "TestRotationByWeakerKey"},
	{"panel: a weaker key gets the token of a key that was extended during its rotation", "apikey/selfservice/rotate.go", edits{
		"\tif !c.who.mayGrant(issued.Key) {", "\tif !c.who.mayGrant(issued.Key) && issued.Key.ID == \"\" {",
	}, "./apikey/selfservice", "TestRotationByWeakerKey"},
	{"panel: the zero expiry lets a key live for ever", "apikey/selfservice/update.go", edits{
		" || at != nil && at.IsZero() {", " {",
	}, "./apikey/selfservice", "TestRefusals"},
	{"panel: the first of two content types taken", "apikey/selfservice/call.go", edits{
		" || len(c.r.Header[\"Content-Type\"]) > 1 {", " {",
	}, "./apikey/selfservice", "TestContentTypes"},
	{"panel: an offered scope given that the plan does not cover", "apikey/selfservice/scope.go", edits{
		"return e.Covers(scope) && slices", "return slices",
	}, "./apikey/selfservice", "TestPlanBoundsOfferedScopes"},
	{"panel: the first of two idempotency keys taken", "apikey/selfservice/create.go", edits{
		"if len(values) > 1 || key == \"\" {", "if key == \"\" {",
	}, "./apikey/selfservice", "TestIdempotencyKey"},
	{"panel: a hint of any characters", "apikey/selfservice/create.go", edits{
		"len(rest) != hintLen || strings.ContainsFunc", "len(rest) != hintLen || false && strings.ContainsFunc",
	}, "./apikey/selfservice", "TestRefusals"},
	{"panel: no owner is an owner", "apikey/selfservice/caller.go", edits{
		"case err != nil || owner == \"\":",
		"case err != nil:",
	}, "./apikey/selfservice", "TestRequestWithoutOwnerIsRefused"},
	{"panel: an owner beside an error", "apikey/selfservice/caller.go", edits{
		"case err != nil || owner == \"\":",
		"case owner == \"\":",
	}, "./apikey/selfservice", "TestRequestWithoutOwnerIsRefused"},
	{"panel: sessions that cannot be looked up are no session", "apikey/selfservice/caller.go", edits{
		"\t\treturn caller{}, apikey.ErrUnavailable\n",
		"\t\treturn caller{}, unauthorized\n",
	}, "./apikey/selfservice", "TestRequestWithoutOwnerIsRefused"},
	{"panel: any key manages keys", "apikey/selfservice/caller.go", edits{
		"h.options.KeyScope == \"\" || !p.Allows",
		"h.options.KeyScope != \"\" && !p.Allows",
	}, "./apikey/selfservice", "TestKeyScope"},
	{"panel: a key that came with a session goes by the session", "apikey/selfservice/caller.go", edits{
		"if !validated && !h.keys.HasCredential(r) {",
		"if !validated && !h.keys.HasCredential(r) || r.Header.Get(\"X-Session\") != \"\" {",
	}, "./apikey/selfservice", "TestKeyScope"},
	{"panel: a key hands out more scopes than its own", "apikey/selfservice/caller.go", edits{
		"if !c.key.Allows(s) {",
		"if false && !c.key.Allows(s) {",
	}, "./apikey/selfservice", "TestKeyCannotEscalate"},
	{"panel: a key hands out keys that outlive it", "apikey/selfservice/caller.go", edits{
		"return own.IsZero() || !k.ExpiresAt.IsZero() && !k.ExpiresAt.After(own)",
		"return own.IsZero() || !k.ExpiresAt.After(own)",
	}, "./apikey/selfservice", "TestKeyCannotEscalate"},
	{"panel: a key prolongs what is longer than itself", "apikey/selfservice/update.go", edits{
		"allowed = allowed && c.who.mayGrant(k)",
		"allowed = c.who.mayGrant(k)",
	}, "./apikey/selfservice", "TestKeyCannotEscalate"},
	{"panel: unknown fields passed over", "internal/strictjson/decode.go", edits{
		"return fmt.Errorf(\"unknown field %s\", field(path, name))",
		"continue",
	}, "./apikey/selfservice", "TestRequestCannotChooseOwner"},
	{"panel: unknown parameters passed over", "apikey/selfservice/call.go", edits{
		"if len(all) > 0 {",
		"if len(all) > 9 {",
	}, "./apikey/selfservice", "TestRequestCannotChooseOwner"},
	{"panel: any content type", "apikey/selfservice/call.go", edits{
		"kind != \"application/json\" ||",
		"kind == \"\" ||",
	}, "./apikey/selfservice", "TestCrossOrigin|TestContentTypes"},
	{"panel: other sites may write", "apikey/selfservice/route.go", edits{
		"h.crossOrigin.Check(r) != nil",
		"false && h.crossOrigin.Check(r) != nil",
	}, "./apikey/selfservice", "TestCrossOrigin"},
	{"panel: an element in front of a path is ignored", "apikey/selfservice/route.go", edits{
		"below = \"/\" + strings.TrimPrefix(below, \"/\")",
		"below = \"/\" + strings.TrimPrefix(strings.TrimPrefix(below, \"/\"), \"x/\")",
	}, "./apikey/selfservice", "TestMounts"},
	{"panel: the mount point is removed twice", "apikey/selfservice/route.go", edits{
		"if ok && hasMount(",
		"if ok && len(mount) == 0 && hasMount(",
	}, "./apikey/selfservice", "TestMounts"},
	{"panel: a prefix that is longer than the pattern is not removed", "apikey/selfservice/route.go", edits{
		"for i := range len(elements) - len(mount) + 1 {",
		"for i := max(0, len(elements)-len(mount)); i <= len(elements)-len(mount); i++ {",
	}, "./apikey/selfservice", "TestMounts"},
	{"panel: the owner function gets the request of the inner mux", "apikey/selfservice/route.go", edits{
		"serve(w, r, match",
		"serve(w, match, match",
	}, "./apikey/selfservice", "TestOwnerFunctionGetsHostRequest"},
	{"panel: refusals without the headers", "apikey/selfservice/route.go", edits{
		"\tsetSecurityHeaders(w.Header())\n", "",
		"\t\t\tserve(w, r, match", "\t\t\tsetSecurityHeaders(w.Header())\n\t\t\tserve(w, r, match",
	}, "./apikey/selfservice", "TestSecurityHeaders"},
	{"panel: an outage is no error", "apikey/selfservice/revoke.go", edits{
		"err != nil {\n\t\treturn 0, nil, err\n\t}\n\treturn http.StatusNoContent",
		"err != nil {\n\t\treturn http.StatusNoContent, nil, nil\n\t}\n\treturn http.StatusNoContent",
	}, "./apikey/selfservice", "TestOutageIs503"},
	{"panel: an outage takes the verdict that it wraps", "apikey/selfservice/problem.go", edits{
		"case errors.Is(err, apikey.ErrUnavailable):\n\t\treturn unavailable\n",
		"",
	}, "./apikey/selfservice", "TestOutageIs503"},
	{"panel: scopes that are not offered", "apikey/selfservice/create.go", edits{
		"if !c.isGrantable(usage.Entitlement, s) {",
		"if false && !c.isGrantable(usage.Entitlement, s) {",
	}, "./apikey/selfservice", "TestRefusals|TestNoScopesUnlessOffered"},
	{"panel: a plan that covers everything offers everything", "apikey/selfservice/scope.go", edits{
		"return e.Scopes != nil && ",
		"return e.Scopes == nil || ",
	}, "./apikey/selfservice", "TestNoScopesUnlessOffered"},
	{"panel: the caller is authenticated before the body has arrived", "apikey/selfservice/call.go", edits{
		"\t\tbody, unread := readBody(w, r)\n\t\twho, err := h.caller(r)\n",
		"\t\twho, err := h.caller(r)\n\t\tbody, unread := readBody(w, r)\n",
	}, "./apikey/selfservice", "TestCallerEndsDuringSlowBody"},
	{"panel: a key stays good for as long as its request takes", "apikey/selfservice/caller.go", edits{
		"if err == nil && validated {",
		"if false {",
	}, "./apikey/selfservice", "TestCallerEndsDuringSlowBody"},
	{"panel: another Manager's word is taken", "apikey/selfservice/caller.go", edits{
		"return nil, keyForbidden // another",
		"p, _ := apikey.PrincipalFromContext(r.Context())\n\t\treturn p, nil // another",
	}, "./apikey/selfservice", "TestPrincipalOfAnotherManager"},
	{"panel: graces overlap", "apikey/create.go", edits{
		"limit = plan.MaxKeys",
		"limit = -max(1, plan.MaxKeys)",
	}, "./apikey/selfservice", "TestRotationIsBounded"},
	{"panel: fields twice", "internal/strictjson/strictjson.go", edits{
		"if seen[p.folded(name)] {",
		"if false {",
	}, "./apikey/selfservice", "TestRepeatedFieldsAreRefused"},
	{"panel: fields in another case", "internal/strictjson/strictjson.go", edits{
		"if !r.AnyCase {",
		"if false {",
	}, "./apikey/selfservice", "TestRepeatedFieldsAreRefused"},
	{"panel: a retry with other scopes is the same", "apikey/create.go", edits{
		" && slices.Equal(a.Scopes, b.Scopes)",
		" && len(a.Scopes) <= len(b.Scopes)+9 && slices.Equal(a.Scopes[:0], b.Scopes[:0])",
	}, "./apikey", "TestIdempotencyKeyOfRegister"},
	{"panel: as many creations as anybody likes", "apikey/throttle.go", edits{
		"wait > 0 {",
		"wait > time.Hour {",
	}, "./apikey/selfservice", "TestTenCreationsAMinute"},
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
