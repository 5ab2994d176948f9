// Tells ThreadSanitizer what Debian's Abseil does not: that absl::Mutex and its
// kin order the memory of threads. The library is built without the sanitizer, so
// each of its locks would look like none, and every use of one like a data race.
//
// The functions here stand before the library's own of the same name, for the
// program and for the library itself, and call those. Linked by --config=tsan only.
#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

extern "C" {
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {

template <typename Function>
Function* Next(const char* symbol) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, symbol));
}

// Conditions may be evaluated by any thread that holds the lock, also inside the
// library after it was released as far as the sanitizer knows.
class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
  IgnoreReads(const IgnoreReads&) = delete;
  IgnoreReads& operator=(const IgnoreReads&) = delete;
};

// A call by which the lock is held afterwards.
template <typename Result, typename... Arguments>
Result Acquiring(const char* symbol, void* lock, Arguments... arguments) {
  struct Acquire {
    explicit Acquire(void* lock) : lock(lock) {}
    ~Acquire() { __tsan_acquire(lock); }
    void* const lock;
  } acquire(lock);
  const IgnoreReads ignore;
  return Next<Result(void*, Arguments...)>(symbol)(lock, arguments...);
}

// A call by which the lock is held no more, or for a while not.
template <typename Result, typename... Arguments>
Result Releasing(const char* symbol, void* lock, Arguments... arguments) {
  __tsan_release(lock);
  const IgnoreReads ignore;
  return Next<Result(void*, Arguments...)>(symbol)(lock, arguments...);
}

// A call in which the lock is released and taken again.
template <typename Result, typename... Arguments>
Result Waiting(const char* symbol, void* lock, Arguments... arguments) {
  __tsan_release(lock);
  return Acquiring<Result>(symbol, lock, arguments...);
}

}  // namespace

#define QASINO_MUTEX "_ZN4absl7debian35Mutex"
#define QASINO_CONDITION "RKNS0_9ConditionE"

void Mutex::Lock() { Acquiring<void>(QASINO_MUTEX "4LockEv", this); }
void Mutex::Unlock() { Releasing<void>(QASINO_MUTEX "6UnlockEv", this); }
bool Mutex::TryLock() { return Acquiring<bool>(QASINO_MUTEX "7TryLockEv", this); }
void Mutex::ReaderLock() { Acquiring<void>(QASINO_MUTEX "10ReaderLockEv", this); }
void Mutex::ReaderUnlock() { Releasing<void>(QASINO_MUTEX "12ReaderUnlockEv", this); }
bool Mutex::ReaderTryLock() { return Acquiring<bool>(QASINO_MUTEX "13ReaderTryLockEv", this); }

void Mutex::Await(const Condition& condition) {
  Waiting<void>(QASINO_MUTEX "5AwaitE" QASINO_CONDITION, this, &condition);
}
bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  return Waiting<bool>(QASINO_MUTEX "16AwaitWithTimeoutE" QASINO_CONDITION "NS0_8DurationE", this,
                       &condition, timeout);
}
bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  return Waiting<bool>(QASINO_MUTEX "17AwaitWithDeadlineE" QASINO_CONDITION "NS0_4TimeE", this,
                       &condition, deadline);
}
void Mutex::LockWhen(const Condition& condition) {
  Acquiring<void>(QASINO_MUTEX "8LockWhenE" QASINO_CONDITION, this, &condition);
}
bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  return Acquiring<bool>(QASINO_MUTEX "19LockWhenWithTimeoutE" QASINO_CONDITION "NS0_8DurationE",
                         this, &condition, timeout);
}
bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  return Acquiring<bool>(QASINO_MUTEX "20LockWhenWithDeadlineE" QASINO_CONDITION "NS0_4TimeE", this,
                         &condition, deadline);
}
void Mutex::ReaderLockWhen(const Condition& condition) {
  Acquiring<void>(QASINO_MUTEX "14ReaderLockWhenE" QASINO_CONDITION, this, &condition);
}
bool Mutex::ReaderLockWhenWithTimeout(const Condition& condition, Duration timeout) {
  return Acquiring<bool>(QASINO_MUTEX "25ReaderLockWhenWithTimeoutE" QASINO_CONDITION
                                      "NS0_8DurationE",
                         this, &condition, timeout);
}
bool Mutex::ReaderLockWhenWithDeadline(const Condition& condition, Time deadline) {
  return Acquiring<bool>(QASINO_MUTEX "26ReaderLockWhenWithDeadlineE" QASINO_CONDITION "NS0_4TimeE",
                         this, &condition, deadline);
}

void CondVar::Wait(Mutex* mutex) {
  __tsan_release(mutex);
  Next<void(CondVar*, Mutex*)>("_ZN4absl7debian37CondVar4WaitEPNS0_5MutexE")(this, mutex);
  __tsan_acquire(mutex);
}
bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  __tsan_release(mutex);
  const bool timed_out = Next<bool(CondVar*, Mutex*, Duration)>(
      "_ZN4absl7debian37CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE")(this, mutex, timeout);
  __tsan_acquire(mutex);
  return timed_out;
}
bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  __tsan_release(mutex);
  const bool timed_out = Next<bool(CondVar*, Mutex*, Time)>(
      "_ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE")(this, mutex, deadline);
  __tsan_acquire(mutex);
  return timed_out;
}

void Notification::Notify() {
  // HasBeenNotified is inline and reads this member alone.
  __tsan_release(&notified_yet_);
  Next<void(Notification*)>("_ZN4absl7debian312Notification6NotifyEv")(this);
}
void Notification::WaitForNotification() const {
  auto* self = const_cast<Notification*>(this);
  Next<void(Notification*)>("_ZNK4absl7debian312Notification19WaitForNotificationEv")(self);
  __tsan_acquire(&self->notified_yet_);
}
bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  auto* self = const_cast<Notification*>(this);
  const bool notified = Next<bool(Notification*, Duration)>(
      "_ZNK4absl7debian312Notification30WaitForNotificationWithTimeoutENS0_8DurationE")(self,
                                                                                        timeout);
  __tsan_acquire(&self->notified_yet_);
  return notified;
}
bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  auto* self = const_cast<Notification*>(this);
  const bool notified = Next<bool(Notification*, Time)>(
      "_ZNK4absl7debian312Notification31WaitForNotificationWithDeadlineENS0_4TimeE")(self,
                                                                                     deadline);
  __tsan_acquire(&self->notified_yet_);
  return notified;
}

bool BlockingCounter::DecrementCount() {
  __tsan_release(this);
  return Next<bool(BlockingCounter*)>("_ZN4absl7debian315BlockingCounter14DecrementCountEv")(this);
}
void BlockingCounter::Wait() {
  Next<void(BlockingCounter*)>("_ZN4absl7debian315BlockingCounter4WaitEv")(this);
  __tsan_acquire(this);
}

ABSL_NAMESPACE_END
}  // namespace absl
