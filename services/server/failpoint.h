#ifndef QASINO_SERVICES_SERVER_FAILPOINT_H_
#define QASINO_SERVICES_SERVER_FAILPOINT_H_

namespace qasino::server {

// A point at which a test can let the process die, to see what a restart makes of what it
// left behind. Named "part/step", e.g. "store/manifest-before-rename". Any thread.
//
// Which of two libraries defines it is decided where a program is linked: programs have
// :no_failpoints, where it does nothing; those under testing/failpoints have
// :deadly_failpoints, where the point named by the environment's QASINO_FAILPOINT kills the
// process with SIGKILL: "NAME", or "NAME:N" at the Nth time that it is passed. Points cost
// a function call, so they do not belong where rows go by.
void Failpoint(const char* name);

}  // namespace qasino::server

#endif  // QASINO_SERVICES_SERVER_FAILPOINT_H_
