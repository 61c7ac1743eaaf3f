package session

import (
	"math/rand/v2"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func second(n int) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return noon.Add(time.Duration(n) * time.Second)
}

func TestLeftAtFollowsFromTabTimes(t *testing.T) {
	for _, c := range []struct {
		what                        string
		opened, asked, closed, left int
	}{
		{"nothing is known", 0, 0, 0, 0},
		{"a tab is open", 1, 0, 0, 0},
		{"the last tab was closed", 1, 0, 100, 100},
		{"a tab is open again", 101, 0, 100, 0},
		{"in the same millisecond, the tab counts", 100, 0, 100, 0},
		{"a page was asked for just before", 1, 99, 100, 0},
		{"a page was asked for 29 s before", 1, 71, 100, 0},
		{"a page was asked for 30 s before", 1, 70, 100, 100},
		{"a page was asked for since", 1, 200, 100, 0},
		{"what was asked for became a tab", 98, 97, 100, 100},
		{"what was asked for was a file", 97, 97, 100, 100},
	} {
		got := TabTimes{second(c.opened), second(c.asked), second(c.closed)}.LeftAt()
		if !got.Equal(second(c.left)) {
			t.Errorf("%s: left at %s, want %s", c.what, got, second(c.left))
		}
	}
}

func TestTabTimesComeToTheSameInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		news := make([]TabTimes, 6)
		for i := range news {
			news[i] = TabTimes{second(random.IntN(9)), second(random.IntN(9)), second(random.IntN(9))}
		}
		var one, other TabTimes
		for _, n := range news {
			one = one.Merge(n)
		}
		random.Shuffle(len(news), func(i, j int) { news[i], news[j] = news[j], news[i] })
		for _, n := range append(news, news[0]) { // once more, as a message may come twice
			other = other.Merge(n)
		}
		if one != other {
			t.Fatalf("%+v in one order, %+v in another", one, other)
		}
	}
}

func TestWhatHappensNextIsLaterThanAllThatIsKnown(t *testing.T) {
	known := TabTimes{OpenedAt: noon, AskedAt: noon.Add(20 * time.Millisecond)} // told by a node whose clock is ahead
	if got, want := known.Next(noon), noon.Add(21*time.Millisecond); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := known.Next(noon.Add(time.Second+500*time.Microsecond)), noon.Add(time.Second); !got.Equal(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTabTimesAgreeWithWhatAnOlderVersionWrote(t *testing.T) {
	known := TabTimes{OpenedAt: second(1), ClosedAt: second(10)}
	for _, leftAt := range []time.Time{{}, second(10), second(20)} {
		if got := known.Agreeing(leftAt).LeftAt(); !got.Equal(leftAt) {
			t.Errorf("left at %s, want %s", got, leftAt)
		}
	}
	r, err := Decode(ID{},
		[]byte(`{"v":1,"user":"ada","created_at":1,"last_active_at":1,"left_at":1767355200000,"policy":{}}`))
	if err != nil || !r.Tabs.LeftAt().Equal(noon) || !r.LeftAt.Equal(noon) {
		t.Errorf("%+v, %v, want it left at %s", r.Tabs, err, noon)
	}
	data, err := Record{Tabs: known, LeftAt: known.LeftAt()}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Decode(ID{}, data); err != nil || r.Tabs != known {
		t.Errorf("%+v, %v, want %+v", r.Tabs, err, known)
	}
}
