package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// partition is the hash tag of a session's keys, one of 256; see
// docs/decisions.md#256-slots-instead-of-one-for-each-session.
func partition(id session.ID) string { return "{" + hex.EncodeToString(id[:1]) + "}" }

// partitions lists all hash tags of sessions.
func partitions() []string {
	list := make([]string, 256)
	for i := range list {
		list[i] = partition(session.ID{byte(i)})
	}
	return list
}

func (s *Store) recordKey(id session.ID) string { return s.prefix + partition(id) + ":r:" + name(id) }

func (s *Store) timingKey(id session.ID) string { return s.prefix + partition(id) + ":t:" + name(id) }

func (s *Store) valuesKey(id session.ID) string { return s.prefix + partition(id) + ":v:" + name(id) }

// liveKey lists the live sessions of a partition, by the number of the last revocation that each
// has seen.
func (s *Store) liveKey(partition string) string { return s.prefix + partition + ":live" }

// endedKey lists the ended sessions of a partition, by the time of their end.
func (s *Store) endedKey(partition string) string { return s.prefix + partition + ":ended" }

// waitingKey lists the ended sessions of a partition whose pages wait, by session.Record.KeepUntil.
// Each is listed as its name and the mark of its user.
func (s *Store) waitingKey(partition string) string { return s.prefix + partition + ":waiting" }

// userMark tells users apart well enough that few records of others are read.
func userMark(user string) string {
	sum := sha256.Sum256([]byte(session.FoldName(user)))
	return encode(string(sum[:6]))
}

func name(id session.ID) string { return encode(string(id[:])) }

func encode(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func parseName(s string) (id session.ID, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("malformed ID %q in redis", s)
	}
	return session.ID(b), nil
}

func ms(t time.Time) string { return strconv.FormatInt(session.UnixMilli(t), 10) }

func inMillis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func (s *Store) offsetText() string { return strconv.FormatInt(s.offset.Load(), 10) }

func first(list []rueidis.RedisMessage) string {
	if len(list) == 0 {
		return ""
	}
	text, _ := list[0].ToString()
	return text
}
