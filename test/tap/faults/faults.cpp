// A library for tests, loaded before all others (LD_PRELOAD): makes operator new fail, and what
// LMDB does to data.mdb, when it is told to. What to do stands in a shared file that
// DATAHIKE_FAULTS names, so that a session can prepare a fault of another process; the same library
// is a PostgreSQL module with the functions that write it:
//   fail_new(pid, skip, count)       of the process's calls of operator new, skip as many, then
//   fail
//                                    that many
//   fail_io(operation, skip, count)  likewise for sync, write (pages) and write_synced (headers),
//   in
//                                    any process
//   faults_left()                    failures that have not happened yet
//   exit_now(status)                 exit(), as VACUUM does that finds the postmaster dead
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

namespace {

struct Fault {
  std::atomic<int> skip, count;
  // Whether the call at hand is to fail.
  bool due() {
    if (count.load(std::memory_order_relaxed) <= 0) return false;
    if (skip.fetch_sub(1) > 0) return false;
    return count.fetch_sub(1) > 0;
  }
};
enum Operation { Sync, Write, WriteSynced, Operations };
struct Control {
  std::atomic<int> pid;
  Fault allocation;
  Fault io[Operations];
};

Control* control() {
  static Control* mapped = [] {
    const char* name = std::getenv("DATAHIKE_FAULTS");
    int fd = name ? open(name, O_RDWR) : -1;
    void* at = fd < 0 ? MAP_FAILED
                      : mmap(nullptr, sizeof(Control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    return at == MAP_FAILED ? nullptr : static_cast<Control*>(at);
  }();
  return mapped;
}

bool allocation_fails() {
  Control* c = control();
  return c && c->allocation.count > 0 && c->pid == getpid() && c->allocation.due();
}

bool is_store(int fd) {
  char link[64], path[512];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, path, sizeof path);
  return n > 8 && std::memcmp(path + n - 8, "data.mdb", 8) == 0;
}

bool io_fails(int fd, Operation operation) {
  Control* c = control();
  if (!c || c->io[operation].count <= 0 || !is_store(fd) || !c->io[operation].due()) return false;
  errno = EIO;
  return true;
}

Operation kind_of_write(int fd) { return fcntl(fd, F_GETFL) & O_DSYNC ? WriteSynced : Write; }

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

void* allocate(size_t size) {
  if (allocation_fails()) throw std::bad_alloc();
  if (void* at = std::malloc(size ? size : 1)) return at;
  throw std::bad_alloc();
}

void* allocate_aligned(size_t size, std::align_val_t alignment) {
  if (allocation_fails()) throw std::bad_alloc();
  void* at = nullptr;
  if (posix_memalign(&at, static_cast<size_t>(alignment), size ? size : 1) == 0) return at;
  throw std::bad_alloc();
}

}  // namespace

void* operator new(size_t size) { return allocate(size); }
void* operator new[](size_t size) { return allocate(size); }
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  return allocation_fails() ? nullptr : std::malloc(size ? size : 1);
}
void* operator new(size_t size, std::align_val_t alignment) {
  return allocate_aligned(size, alignment);
}
void* operator new[](size_t size, std::align_val_t alignment) {
  return allocate_aligned(size, alignment);
}
void operator delete(void* at) noexcept { std::free(at); }
void operator delete[](void* at) noexcept { std::free(at); }
void operator delete(void* at, size_t) noexcept { std::free(at); }
void operator delete[](void* at, size_t) noexcept { std::free(at); }
void operator delete(void* at, const std::nothrow_t&) noexcept { std::free(at); }
void operator delete(void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, std::align_val_t) noexcept { std::free(at); }
void operator delete(void* at, size_t, std::align_val_t) noexcept { std::free(at); }
void operator delete[](void* at, size_t, std::align_val_t) noexcept { std::free(at); }

extern "C" {

int fdatasync(int fd) {
  static auto real = next<int (*)(int)>("fdatasync");
  return io_fails(fd, Sync) ? -1 : real(fd);
}
int fsync(int fd) {
  static auto real = next<int (*)(int)>("fsync");
  return io_fails(fd, Sync) ? -1 : real(fd);
}
ssize_t pwrite(int fd, const void* bytes, size_t size, off_t at) {
  static auto real = next<ssize_t (*)(int, const void*, size_t, off_t)>("pwrite");
  return io_fails(fd, kind_of_write(fd)) ? -1 : real(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void* bytes, size_t size, off_t at) {
  return pwrite(fd, bytes, size, at);
}
ssize_t writev(int fd, const iovec* parts, int count) {
  static auto real = next<ssize_t (*)(int, const iovec*, int)>("writev");
  return io_fails(fd, Write) ? -1 : real(fd, parts, count);
}
ssize_t pwritev(int fd, const iovec* parts, int count, off_t at) {
  static auto real = next<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  return io_fails(fd, Write) ? -1 : real(fd, parts, count, at);
}

#include "postgres.h"
// Order matters.
#include "fmgr.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(fail_new);
PG_FUNCTION_INFO_V1(fail_io);
PG_FUNCTION_INFO_V1(faults_left);
PG_FUNCTION_INFO_V1(exit_now);

static void arm(Fault& fault, FunctionCallInfo fcinfo) {
  fault.count = 0;
  fault.skip = PG_GETARG_INT32(1);
  fault.count = PG_GETARG_INT32(2);
}

__attribute__((visibility("default"))) Datum fail_new(PG_FUNCTION_ARGS) {
  control()->pid = PG_GETARG_INT32(0);
  arm(control()->allocation, fcinfo);
  PG_RETURN_VOID();
}

__attribute__((visibility("default"))) Datum fail_io(PG_FUNCTION_ARGS) {
  const char* name = text_to_cstring(PG_GETARG_TEXT_PP(0));
  Operation operation = !strcmp(name, "sync") ? Sync : !strcmp(name, "write") ? Write : WriteSynced;
  arm(control()->io[operation], fcinfo);
  PG_RETURN_VOID();
}

__attribute__((visibility("default"))) Datum faults_left(PG_FUNCTION_ARGS) {
  int left = control()->allocation.count;
  for (Fault& fault : control()->io) left += fault.count;
  PG_RETURN_INT32(left);
}

__attribute__((visibility("default"))) Datum exit_now(PG_FUNCTION_ARGS) {
  exit(PG_GETARG_INT32(0));
}
}
