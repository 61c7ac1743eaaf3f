package delivery_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"curfew/delivery"
)

// TestTheSampleInPythonKnowsWhoHasSent runs the sample of docs/events.md, which the Django example
// has as well.
func TestTheSampleInPythonKnowsWhoHasSent(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(document), "```python\n")
	sample, _, found := strings.Cut(rest, "```\n")
	if !found {
		t.Fatal("docs/events.md has no sample in Python")
	}
	example, err := os.ReadFile("../examples/django/personnel/events.py")
	if err != nil {
		t.Fatal(err)
	}
	if _, function, _ := strings.Cut(sample, "\n\n\n"); !strings.Contains(string(example), function) {
		t.Errorf("the example in Django has another function than\n%s", function)
	}
	body, now := []byte(`{"user":"Zoë"}`), time.Now()
	right := delivery.Sign([]byte("secret"), body, now)
	rows := []struct {
		name, secret, signature, body string
		want                          bool
	}{
		{"as sent", "secret", right, string(body), true},
		{"with more elements", "secret", right + ",v2=x,y", string(body), true},
		{"by another secret", "secrets", right, string(body), false},
		{"another body", "secret", right, string(body) + " ", false},
		{"another time", "secret", strings.Replace(right, "t=1", "t=2", 1), string(body), false},
		{"too old", "secret", delivery.Sign([]byte("secret"), body, now.Add(-6*time.Minute)), string(body), false},
		{"ahead", "secret", delivery.Sign([]byte("secret"), body, now.Add(6*time.Minute)), string(body), false},
		{"no signature", "secret", "", string(body), false},
		{"no time", "secret", strings.TrimPrefix(right, "t="), string(body), false},
		{"odd digits", "secret", "t=²,v1=é", string(body), false},
	}
	program := sample + "\nimport sys\na = sys.argv[1:]\nwhile a:\n" +
		"    print(is_from_curfew(a[0].encode(), a[1], a[2].encode()))\n    a = a[3:]\n"
	args, want := []string{"-c", program}, ""
	for _, r := range rows {
		args = append(args, r.secret, r.signature, r.body)
		want += map[bool]string{true: "True\n", false: "False\n"}[r.want]
	}
	out, err := exec.Command("python3", args...).CombinedOutput()
	if got := string(out); err != nil || got != want {
		t.Errorf("of %+v: %s, %v, want %s", rows, got, err, want)
	}
}
