package main

import (
	"crypto/rand"
	"errors"
	"net/http"
	"sync"
)

// sessions represents the service's own sign-in. It accepts any name without proof. A real
// sign-in authenticates the customer and sets Secure on its cookie.
type sessions struct {
	mu   sync.RWMutex
	byID map[string]string // the owner
}

const sessionCookie = "session"

var errSignedOut = errors.New("not signed in")

// owner returns the signed-in customer. The settings page calls it for each request.
func (s *sessions) owner(r *http.Request) (string, error) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", errSignedOut
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if owner, ok := s.byID[cookie.Value]; ok {
		return owner, nil
	}
	return "", errSignedOut
}

const signInPage = `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Sign in</title>
<h1>Sign in</h1>
<form method="post">
<button name="as" value="ann">as Ann, who has a plan</button>
<button name="as" value="bob">as Bob, whose trial has ended</button>
</form>
</html>
`

func (s *sessions) ask(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write([]byte(signInPage))
}

func (s *sessions) signIn(w http.ResponseWriter, r *http.Request) {
	owner := r.PostFormValue("as")
	if owner != "ann" && owner != "bob" {
		http.Error(w, "unknown customer", http.StatusForbidden)
		return
	}
	id := rand.Text()
	s.mu.Lock()
	s.byID[id] = owner
	s.mu.Unlock()
	http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, "/settings/api-keys/", http.StatusSeeOther)
}
