package entitlement

// An InvalidError is a caller's mistake: an argument, option or plan that is not
// valid. This package and those below it return it without having written anything.
// Trying again does not help.
type InvalidError struct {
	Field string // the argument, field or option, such as "Owner" or "Options.Table"
	Err   error  // the reason
}

func (e *InvalidError) Error() string { return "invalid " + e.Field + ": " + e.Err.Error() }

// Unwrap returns e.Err, such as an error that matches [ErrUnknownPlan].
func (e *InvalidError) Unwrap() error { return e.Err }
