package selfservice

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
)

// Texts returns the English texts of the page by name. Translate them for
// [Options.Texts]. The page replaces the words in braces by values. A translation may
// move or omit these words.
//
// Names that end in "_title" and "_text" belong together: they are the heading and
// the text of a notice. Texts that begin with "say_" are shown after an action.
// Texts that begin with "error_" and continue with a code are shown if the API
// returns the problem with that code. Names may change until version 1.
func Texts() map[string]string { return maps.Clone(english) }

var english = map[string]string{
	"lead":     "Programs use an API key to act for you. Anyone who has a key can do the same, so keep each one as secret as a password.",
	"back":     "Back",
	"document": "API description (OpenAPI)",
	"noscript": "Without JavaScript you can see and revoke your keys here. To create, edit or rotate one, turn JavaScript on and load this page again.",

	"keys":       "Your keys",
	"plan":       "Plan: {plan}",
	"usage":      "Keys: {used} of {limit}",
	"usage_free": "Keys: {used}",
	"ended":      "Revoked and expired keys",
	"pages":      "Pages of your keys",
	"pages_over": "Pages of revoked and expired keys",
	"newest":     "Newest",
	"older":      "Older",

	"name":          "Name",
	"hint":          "Key",
	"created":       "Created",
	"created_by":    "Created by {by}",
	"used":          "Last used",
	"used_at":       "Last used {time}",
	"never_used":    "Never used",
	"expires":       "Expires",
	"never_expires": "Never expires",
	"actions":       "Actions",
	"status":        "Ended",
	"disabled":      "Disabled",
	"soon":          "Expires soon",
	"replaced":      "Replaced",
	"works_until":   "Works until {time}",
	"revoked_at":    "Revoked {time}",
	"expired_at":    "Expired {time}",
	"rotated":       "Replaced by another key",
	"scopes":        "What the key may do",
	"scope_count":   "{count} scopes",

	"create":       "Create key",
	"create_title": "Create a key",
	"name_help":    "Where you will use it, such as “CI” or “laptop”.",
	"date":         "Last day",
	"days_30":      "In 30 days",
	"days_90":      "In 90 days",
	"days_365":     "In a year",
	"own_date":     "On a day of your choice",
	"scopes_help":  "Choose only what is needed. This cannot be changed later on this page.",
	"cancel":       "Cancel",

	"edit":         "Edit",
	"edit_key":     "Edit {name}",
	"edit_title":   "Edit “{name}”",
	"expiry_keep":  "Keep: {expires}",
	"disable":      "Disabled",
	"disable_help": "Requests with the key are refused until you enable it again.",
	"save":         "Save",

	"rotate":       "Rotate",
	"rotate_key":   "Rotate {name}",
	"rotate_title": "Rotate “{name}”",
	"rotate_text":  "You get a new key with the same name, permissions and expiry. Let the old one work for long enough to replace it everywhere.",
	"grace":        "The old key",
	"grace_none":   "stops working at once",
	"grace_hour":   "works for another hour",
	"grace_day":    "works for another 24 hours",
	"grace_week":   "works for another 7 days",

	"revoke":       "Revoke",
	"revoke_key":   "Revoke {name}",
	"revoke_title": "Revoke “{name}”?",
	"revoke_text":  "Programs that use this key are refused from now on. This cannot be undone.",
	"reason":       "Reason, for your records (optional)",

	"issued_text": "Copy it now and keep it in a safe place. For your security it is not stored here, and will not be shown again.",
	"token":       "The new key",
	"copy":        "Copy",
	"dismiss":     "Done",
	"leave_title": "You have not copied the key",
	"leave_text":  "It will not be shown again. If you lose it, rotate it to get a new one.",
	"leave":       "Discard it",
	"lost_title":  "The key exists, but was lost on the way",
	"lost_text":   "“{name}” was created, but the response with the key did not reach you, and it is shown only once. Rotate it to get a new one in its place.",
	"lost_rotate": "Rotate now",

	"empty_title": "No keys yet",
	"empty_text":  "Create a key to call the API from your own programs.",

	"limit_title":     "You have all the keys that your plan includes.",
	"limit_text":      "To create another, revoke one that you no longer need.",
	"over_title":      "You have more keys than your plan includes.",
	"over_text":       "All of them keep working. To create another, revoke some first: you have {used}, and your plan includes {limit}.",
	"no_access_title": "Your plan does not include the API.",
	"no_access_text":  "Requests with your keys are refused. The keys are kept, and work again as soon as your plan includes the API.",
	"lapsed_title":    "Your plan has ended.",
	"lapsed_text":     "Requests with your keys are refused. The keys are kept, and work again as soon as you have a plan that includes the API.",
	"no_plan_title":   "We cannot look up your plan just now.",
	"no_plan_text":    "You can revoke keys, but not create any. Load this page again in a minute.",
	"upgrade":         "See plans",

	"signed_out_title":  "You are signed out",
	"signed_out_text":   "Sign in to see your API keys, then come back to this page.",
	"sign_in":           "Sign in",
	"forbidden_title":   "This page is for people",
	"forbidden_text":    "The request carries an API key. To manage your keys here, open this page in a browser in which you are signed in.",
	"unavailable_title": "Your keys cannot be shown just now",
	"unavailable_text":  "This is our fault, and nothing has happened to your keys. Try again in a minute.",
	"retry":             "Try again",

	"say_created":      "Here is your new key, “{name}”",
	"say_rotated":      "“{name}” was rotated: here is the new key",
	"say_rotated_late": "“{name}” was rotated, but some servers may accept the old key for about a minute longer. Here is the new one",
	"say_saved":        "“{name}” was saved.",
	"say_revoked":      "“{name}” was revoked.",
	"say_copied":       "Copied.",
	"say_selected":     "Your browser forbids it. The key is selected: press Ctrl+C or ⌘C.",
	"done":             "Done. The key was revoked, and requests with it are refused.",

	"error_network":             "No answer came. Check your connection, then try again.",
	"error_rotate_lost":         "No answer came. If the list shows that the key was replaced, the new one was lost on the way: rotate that.",
	"error_stale":               "The list may be out of date. Load this page again.",
	"error_other":               "That did not work. Load this page again, then retry.",
	"error_unauthorized":        "You have been signed out. Sign in in another tab, then retry here.",
	"error_unavailable":         "This cannot be done just now. It is our fault: try again in a minute.",
	"error_not_propagated":      "It is done, but some of our servers do not know yet. Try again to tell them.",
	"error_not_found":           "There is no such key any more. Load this page again.",
	"error_rotation_overlaps":   "More keys would work than the limit allows. Revoke the earlier key, or let this one stop working at once.",
	"error_conflict":            "The key has changed meanwhile. Load this page again to see how it is now.",
	"error_too_many_requests":   "That was too fast. Try again in {seconds} seconds.",
	"error_key_limit_reached":   "You have all the keys that your plan includes. Revoke one that you no longer need first.",
	"error_api_access_required": "Your plan does not include the API, so no key can be created.",
	"error_invalid_name":        "Give it a name of 1 to 64 visible characters.",
	"error_invalid_scopes":      "Choose at most 32 permissions, of those that your plan includes.",
	"error_invalid_expires_at":  "Choose a day that is yet to come.",
	"error_invalid_reason":      "Make the reason shorter, and leave out special characters.",
	"error_duplicate_key":       "Try again to make another key.",
}

func texts(own map[string]string) map[string]string {
	all := Texts()
	for name, text := range own {
		if _, ok := all[name]; !ok {
			panic(fmt.Sprintf("selfservice: New: Texts has the unknown name %q", name))
		}
		all[name] = text
	}
	return all
}

// scriptTexts returns the texts that panel.js shows, as JSON.
func scriptTexts(texts map[string]string) string {
	shown := map[string]string{}
	for name, text := range texts {
		if strings.HasPrefix(name, "say_") || strings.HasPrefix(name, "error_") {
			shown[name] = text
		}
	}
	out, _ := json.Marshal(shown) // a map of strings always encodes
	return string(out)
}

// fill replaces {name} by a value.
func fill(text, name string, value any) string {
	return strings.ReplaceAll(text, "{"+name+"}", fmt.Sprint(value))
}

// A splitSentence is a text and the value of one of its placeholders, so that the
// template can put the value into an element of its own.
type splitSentence struct {
	Before, After string
	Value         any // nil if the text does not have the placeholder
}

func splitText(text, name string, value any) splitSentence {
	before, after, found := strings.Cut(text, "{"+name+"}")
	if !found {
		value = nil
	}
	return splitSentence{before, after, value}
}
