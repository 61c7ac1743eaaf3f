package standards

import "testing"

func TestConditions(t *testing.T) {
	for _, tt := range []struct {
		condition, value, asks string
		holds                  bool
	}{
		{"listen", "", "", true},
		{"expire-after <= 15m", "15m", "15m at most", true},
		{"expire-after <= 15m", "15m0.001s", "15m at most", false},
		{"max-lifetime <= 24h", Unlimited, "24h at most", false},
		{"max-lifetime > 20h", "20h", "more than 20h", false},
		{"max-lifetime > 20h", Unlimited, "more than 20h", true},
		{"hsts >= 8760h", "8760h", "8760h at least", true},
		{"hsts >= 8760h", "8759h59m59s", "8760h at least", false},
		{"hsts >= 8760h", "0", "8760h at least", false},
		{"max-lifetime is limited", "1000h", "some limit", true},
		{"max-lifetime is limited", Unlimited, "some limit", false},
		{"keep-page <= 0", "0", "0", true},
		{"keep-page <= 0", "1s", "0", false},
		{"keep-page > 0", "0", "more than 0", false},
		{"max-sessions <= 3", "3", "3 at most", true},
		{"max-sessions <= 3", "10", "3 at most", false},
		{"ldap-watch != off", "poll", "anything but off", true},
		{"ldap-watch != off", "off", "anything but off", false},
		{"testing = false", "true", "false", false},
		{"expire-after <= 15m", "soon", "15m at most", false},
	} {
		var c Condition
		if err := c.UnmarshalText([]byte(tt.condition)); err != nil {
			t.Errorf("%s: %v", tt.condition, err)
			continue
		}
		if c.Asks() != tt.asks || c.Holds(tt.value) != tt.holds {
			t.Errorf("%s of %q: %v, asks %q, want %v, %q", tt.condition, tt.value, c.Holds(tt.value), c.Asks(),
				tt.holds, tt.asks)
		}
	}
	for _, bad := range []string{"", "a <=", "a <= soon", "a < 1", "a is limit", "a b"} {
		if err := new(Condition).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is taken for a condition", bad)
		}
	}
}
