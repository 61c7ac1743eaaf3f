package directory

import (
	"context"
	"errors"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Whether the directory answers.

// Ping reports whether the directory accepts its service account; else the error is ErrUnavailable.
func (d *Directory) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	conn, err := d.service(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if d.config.BindDN != "" {
		return nil // the bind was answered
	}
	err = askForLife(conn.Conn)
	d.hear(err)
	if !isAnswer(err) {
		return unavailable("look at the directory's own entry", err)
	}
	return nil
}

// LastWord is when the directory last answered, whatever it was asked; zero if it never has.
func (d *Directory) LastWord() time.Time {
	at := d.lastWord.Load()
	if at == nil {
		return time.Time{}
	}
	return *at
}

// hear notes that the directory has just answered, if err is how it did.
func (d *Directory) hear(err error) {
	if isAnswer(err) {
		now := time.Now()
		d.lastWord.Store(&now)
	}
}

// askForLife asks a server for something that it answers at once.
func askForLife(conn *ldap.Conn) error {
	_, err := conn.Search(ldap.NewSearchRequest("", ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false,
		"(objectClass=*)", []string{"1.1"}, nil))
	return err
}

// isAnswer reports whether an error is the word of a server, as none is, and not that of a
// connection.
func isAnswer(err error) bool {
	var answer *ldap.Error
	return err == nil || errors.As(err, &answer) && answer.ResultCode < ldap.ErrorNetwork
}
