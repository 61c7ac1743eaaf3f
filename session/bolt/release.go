package bolt

import (
	"time"

	"go.etcd.io/bbolt"
)

// releaseEvery is how often pages of the file leave the memory of the process.
const releaseEvery = 4 * time.Second

// releasePages takes the pages of the file that were read out of the memory of the process. The
// kernel keeps them in its cache for as long as it likes, and gives them back when they are read
// again. Else the process would seem to need the whole file: some 2 KB for each session.
//
// Only commitLoop may call it: the file is mapped anew by transactions that write, and so not
// meanwhile.
func (s *Store) releasePages() {
	var size int64
	err := s.db.View(func(tx *bbolt.Tx) error {
		size = tx.Size()
		return nil
	})
	if err == nil {
		release(s.db.Info().Data, uintptr(size))
	}
}
