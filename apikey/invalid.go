package apikey

// An InvalidError is a caller's mistake: a parameter or option outside its
// bounds. Nothing was written. Reason does not repeat the value.
type InvalidError struct {
	Field  string
	Reason string
}

func (e *InvalidError) Error() string {
	return "apikey: invalid " + e.Field + ": " + e.Reason
}
