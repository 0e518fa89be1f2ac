#include "pg/pins.h"

namespace datahike::pg {

namespace {

// Of one backend.
struct Pin {
  Oid database;
  uint64_t tx;    // the oldest commit it reads; 0 = none
  uint64_t view;  // the oldest commit that a view of a branch rests on; 0 = none
};

struct Pins {
  LWLock* lock;
  pg_atomic_uint64 changes;
  pg_atomic_uint64 collections;
  Pin pins[FLEXIBLE_ARRAY_MEMBER];  // by backend id, from 1
};

Pins* pins = nullptr;
shmem_request_hook_type previous_request = nullptr;
shmem_startup_hook_type previous_startup = nullptr;
const char* const kTranche = "datahike pins";

size_t pins_bytes() {
  return add_size(offsetof(Pins, pins), mul_size(sizeof(Pin), static_cast<Size>(MaxBackends) + 1));
}

void request() {
  if (previous_request) previous_request();
  RequestAddinShmemSpace(pins_bytes());
  RequestNamedLWLockTranche(kTranche, 1);
}

void startup() {
  if (previous_startup) previous_startup();
  bool found;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  pins = static_cast<Pins*>(ShmemInitStruct("datahike pins", pins_bytes(), &found));
  if (!found) {
    std::memset(static_cast<void*>(pins), 0, pins_bytes());
    pins->lock = &GetNamedLWLockTranche(kTranche)->lock;
    // Horizons of before the restart are in the store: to be looked for.
    pg_atomic_init_u64(&pins->changes, 1);
    pg_atomic_init_u64(&pins->collections, 1);
  }
  LWLockRelease(AddinShmemInitLock);
}

Pin& my_pin() { return pins->pins[MyBackendId]; }

}  // namespace

void install_pin_hooks() {
  previous_request = shmem_request_hook;
  shmem_request_hook = request;
  previous_startup = shmem_startup_hook;
  shmem_startup_hook = startup;
}

void pin_commit(uint64_t tx) {
  Pin& mine = my_pin();
  if (mine.tx != 0 && mine.tx <= tx) return;
  LWLockAcquire(pins->lock, LW_SHARED);
  mine.database = MyDatabaseId;
  mine.tx = tx;
  LWLockRelease(pins->lock);
}

void publish_view(uint64_t tx) {
  Pin& mine = my_pin();
  if (mine.view == 0 || tx < mine.view) {
    mine.database = MyDatabaseId;
    *const_cast<volatile uint64_t*>(&mine.view) = tx;
  }
  pg_memory_barrier();
}

void unpin_commits() {
  if (pins && MyBackendId != InvalidBackendId) my_pin().tx = my_pin().view = 0;
}

void lock_pins() { LWLockAcquire(pins->lock, LW_EXCLUSIVE); }
void unlock_pins() { LWLockRelease(pins->lock); }

uint64_t oldest_pin() {
  uint64_t oldest = UINT64_MAX;
  for (int i = 1; i <= MaxBackends; ++i) {
    const Pin& pin = pins->pins[i];
    uint64_t tx = *const_cast<const volatile uint64_t*>(&pin.tx);
    if (tx != 0 && pin.database == MyDatabaseId) oldest = std::min(oldest, tx);
  }
  return oldest;
}

uint64_t oldest_commit_in_use() {
  uint64_t oldest = oldest_pin();
  for (int i = 1; i <= MaxBackends; ++i) {
    const Pin& pin = pins->pins[i];
    uint64_t tx = *const_cast<const volatile uint64_t*>(&pin.view);
    if (tx != 0 && pin.database == MyDatabaseId) oldest = std::min(oldest, tx);
  }
  return oldest;
}

uint64_t collections() { return pins ? pg_atomic_read_u64(&pins->collections) : 0; }
void count_collection() {
  pg_atomic_fetch_add_u64(&pins->collections, 1);
  pg_memory_barrier();
}

uint64_t horizon_changes() { return pins ? pg_atomic_read_u64(&pins->changes) : 0; }
void count_horizon_change() { pg_atomic_fetch_add_u64(&pins->changes, 1); }

}  // namespace datahike::pg
