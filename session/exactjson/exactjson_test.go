package exactjson

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

type order struct {
	User    string            `json:"user"`
	Session string            `json:"session"`
	Keys    []string          `json:"keys"`
	DryRun  *bool             `json:"dry_run"`
	Parts   []struct{ N int } `json:"parts"`
	Raw     json.RawMessage   `json:"raw"`
}

func TestNamesAreExactAndStandOnce(t *testing.T) {
	for _, c := range []struct{ what, text, want, wantKnown string }{
		{"what is asked for",
			`{"user":"ada","keys":["a","b"],"dry_run":true,"parts":[{"N":1},{"N":2}],"raw":{"any":[1,{"x":2}]}}`, "",
			""},
		{"spaces around it", " {\"user\" : \"ada\"}\n", "", ""},
		{"another case", `{"USER":"ada"}`, `unknown field "USER"`, `unknown field "USER"`},
		{"a letter that folds to s", `{"uſer":"ada"}`, `unknown field "uſer"`, `unknown field "uſer"`},
		{"a letter that folds to k", "{\"\u212Aeys\":[]}", "unknown field \"\u212Aeys\"",
			"unknown field \"\u212Aeys\""},
		{"an escape is the letter that it stands for", `{"\u0075ser":"ada"}`, "", ""},
		{"the same name twice", `{"user":"grace","user":"ada"}`, `field "user" stands twice`,
			`field "user" stands twice`},
		{"twice, once escaped", `{"user":"grace","us\u0065r":"ada"}`, `field "user" stands twice`,
			`field "user" stands twice`},
		{"twice in another case", `{"dry_run":true,"Dry_Run":false}`, `unknown field "Dry_Run"`,
			`unknown field "Dry_Run"`},
		{"a name that is not known", `{"colour":"green"}`, `unknown field "colour"`, ""},
		{"further down, another case", `{"parts":[{"N":1},{"n":2}]}`, `unknown field "n"`, `unknown field "n"`},
		{"twice in what nobody knows", `{"raw":{"a":{"b":1,"b":2}}}`, `field "b" stands twice`,
			`field "b" stands twice`},
		{"twice below an unknown name", `{"new":[{"b":1,"b":2}]}`, `unknown field "new"`, `field "b" stands twice`},
		{"the same name in two objects", `{"parts":[{"N":1},{"N":1}]}`, "", ""},
		{"nothing", ``, ErrSyntax.Error(), ErrSyntax.Error()},
		{"null", `null`, ErrSyntax.Error(), ErrSyntax.Error()},
		{"a list", `[{"user":"ada"}]`, ErrSyntax.Error(), ErrSyntax.Error()},
		{"two objects", `{"user":"ada"}{}`, ErrSyntax.Error(), ErrSyntax.Error()},
		{"half an object", `{"user":"ada"`, ErrSyntax.Error(), ErrSyntax.Error()},
		{"no UTF-8", "{\"user\":\"\xff\"}", ErrSyntax.Error(), ErrSyntax.Error()},
		{"deeper than anybody needs", `{"raw":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`,
			ErrSyntax.Error(), ErrSyntax.Error()},
	} {
		for _, decoder := range []struct {
			name   string
			decode func([]byte, any) error
			want   string
		}{{"Unmarshal", Unmarshal, c.want}, {"UnmarshalKnown", UnmarshalKnown, c.wantKnown}} {
			got := ""
			var o order
			if err := decoder.decode([]byte(c.text), &o); err != nil {
				got = err.Error()
			}
			if got != decoder.want {
				t.Errorf("%s, %s: got the error %q, want %q", c.what, decoder.name, got, decoder.want)
			}
		}
	}
}

func TestWrongTypesAreToldAsSuch(t *testing.T) {
	var o order
	var wrong *json.UnmarshalTypeError
	if err := Unmarshal([]byte(`{"user":{"name":"ada"}}`), &o); !errors.As(err, &wrong) || wrong.Field != "user" {
		t.Errorf("got %v, want the error to name the field", err)
	}
	o = order{}
	err := Unmarshal([]byte(`{"user":"ada","dry_run":false}`), &o)
	if err != nil || o.User != "ada" || o.DryRun == nil || *o.DryRun {
		t.Errorf("got %+v, %v", o, err)
	}
}

// FuzzWhatIsTakenIsTakenByEncodingJSON holds both readers against that of the standard library, and
// names against a walk of their own: what is taken has the same values there, and no name twice.
func FuzzWhatIsTakenIsTakenByEncodingJSON(f *testing.F) {
	for _, seed := range []string{`{"user":"ada"}`, `{"parts":[{"N":1}]}`, `{"a":{"a":1}}`, `{"user":1}`, `[]`,
		`{"user":"a","\u0075ser":"b"}`, `{"u\u017fer":"a"}`, `{"x":{"y":1,"y":2}}`, `{"user":null}`,
		`{"user":"\ud800"}`,
		`{"parts":[{"n":1}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, strict := range []bool{true, false} {
			var ours, theirs order
			read := UnmarshalKnown
			if strict {
				read = Unmarshal
			}
			if read(data, &ours) != nil {
				continue
			}
			d := json.NewDecoder(strings.NewReader(string(data)))
			if strict {
				d.DisallowUnknownFields()
			}
			if err := d.Decode(&theirs); err != nil || !reflect.DeepEqual(ours, theirs) {
				t.Errorf("%q is taken as %+v, and by encoding/json as %+v: %v", data, ours, theirs, err)
			}
			if name, ok := standsTwice(json.NewDecoder(strings.NewReader(string(data)))); ok {
				t.Errorf("%q is taken, and %q stands twice", data, name)
			}
		}
	})
}

// standsTwice finds a name that is twice in one object of the next value.
func standsTwice(d *json.Decoder) (name string, ok bool) {
	token, _ := d.Token()
	open, _ := token.(json.Delim)
	names := make(map[string]bool)
	for open != 0 && d.More() {
		if open == '{' {
			token, _ := d.Token()
			name := token.(string)
			if names[name] {
				return name, true
			}
			names[name] = true
		}
		if name, ok := standsTwice(d); ok {
			return name, true
		}
	}
	if open != 0 {
		d.Token()
	}
	return "", false
}
