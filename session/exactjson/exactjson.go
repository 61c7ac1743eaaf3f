package exactjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// ErrSyntax says that the text is not one JSON object in UTF-8.
var ErrSyntax = errors.New("not a JSON object")

// NameError is a name that may not stand where it stands.
type NameError struct {
	Name  string
	Twice bool // it stood in the same object before; otherwise nothing is called so
}

func (e *NameError) Error() string {
	if e.Twice {
		return fmt.Sprintf("field %q stands twice", e.Name)
	}
	return fmt.Sprintf("unknown field %q", e.Name)
}

// Unmarshal decodes one JSON object into the struct that into points to. The error is ErrSyntax, a
// *NameError, or one of encoding/json, such as *json.UnmarshalTypeError.
func Unmarshal(data []byte, into any) error { return unmarshal(data, into, false) }

// UnmarshalKnown is Unmarshal for what may hold fields that are not known yet: they are passed
// over. A name that resembles a known one is an error all the same.
func UnmarshalKnown(data []byte, into any) error { return unmarshal(data, into, true) }

func unmarshal(data []byte, into any, open bool) error {
	if !utf8.Valid(data) || !json.Valid(data) || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{")) {
		return ErrSyntax
	}
	w := walk{json.NewDecoder(bytes.NewReader(data)), open}
	if err := w.value(reflect.TypeOf(into)); err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// walk looks at the names of a text that is known to be JSON.
type walk struct {
	tokens *json.Decoder
	open   bool // unknown names may stand
}

// value walks through the next value, which is decoded into a t; nil where nothing is.
func (w walk) value(t reflect.Type) error {
	token, err := w.tokens.Token()
	if err != nil {
		return err
	}
	switch token {
	case json.Delim('{'):
		return w.object(t)
	case json.Delim('['):
		for w.tokens.More() {
			if err := w.value(element(t)); err != nil {
				return err
			}
		}
		_, err = w.tokens.Token()
	}
	return err
}

// object walks through the rest of an object.
func (w walk) object(t reflect.Type) error {
	fields, known := fieldsOf(t)
	seen := make(map[string]struct{})
	for w.tokens.More() {
		token, err := w.tokens.Token()
		if err != nil {
			return err
		}
		name := token.(string)
		if _, twice := seen[name]; twice {
			return &NameError{Name: name, Twice: true}
		}
		seen[name] = struct{}{}
		of := element(t)
		if known {
			field, found := fields[name]
			if !found && (!w.open || resembles(name, fields)) {
				return &NameError{Name: name}
			}
			of = field
		}
		if err := w.value(of); err != nil {
			return err
		}
	}
	_, err := w.tokens.Token()
	return err
}

func resembles(name string, fields map[string]reflect.Type) bool {
	for field := range fields {
		if strings.EqualFold(name, field) {
			return true
		}
	}
	return false
}

// fieldsOf lists the names that a struct has in JSON. known is false for what is no struct, or
// decodes itself.
func fieldsOf(t reflect.Type) (fields map[string]reflect.Type, known bool) {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct || decodesItself(t) {
		return nil, false
	}
	fields = make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case !f.IsExported(), name == "-", f.Anonymous && name == "":
			continue
		case name == "":
			name = f.Name
		}
		fields[name] = f.Type
	}
	return fields, true
}

// element is what the values of a list or a map are decoded into; nil where t is neither.
func element(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || decodesItself(t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array, reflect.Map:
		return t.Elem()
	}
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func decodesItself(t reflect.Type) bool {
	return t.Implements(unmarshaler) || reflect.PointerTo(t).Implements(unmarshaler)
}
