package exactjson

import (
	"encoding/json"
	"errors"
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

func FuzzWhatIsTakenIsTakenByEncodingJSON(f *testing.F) {
	for _, seed := range []string{`{"user":"ada"}`, `{"parts":[{"N":1}]}`, `{"a":{"a":1}}`, `{"user":1}`, `[]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var ours, theirs order
		if Unmarshal(data, &ours) != nil {
			return
		}
		d := json.NewDecoder(strings.NewReader(string(data)))
		d.DisallowUnknownFields()
		if err := d.Decode(&theirs); err != nil {
			t.Errorf("%q is taken, but not by encoding/json: %v", data, err)
		}
	})
}
