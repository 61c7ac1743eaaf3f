package bolt

import "syscall"

// release tells the kernel that a mapping is not needed now. It is shared with the file and only
// read, so nothing is lost. A kernel that refuses keeps the pages.
func release(data, size uintptr) {
	syscall.Syscall(syscall.SYS_MADVISE, data, size, syscall.MADV_DONTNEED)
}
