// The two ways in which craftnet-watch follows sessions. Each returns the exit status.
#pragma once

#include <poll.h>

#include <csignal>
#include <string>
#include <vector>

#include "craftnet/time.h"
#include "options.h"
#include "stream.h"

namespace tools {

/// Set by SIGINT and SIGTERM.
extern volatile std::sig_atomic_t interrupted;

/// Follows one session, over UDP or WebSocket, by `craftnet::Watch`.
int follow_one(const Options& options);

/// Follows several sessions over one UDP connection, by `craftnet::UdpClient`.
int follow_several(const Options& options);

/// Waits until a stream or a socket is ready, or until `deadline`, at most a second.
class Waiting {
 public:
  void add(int descriptor, bool writes);
  void add(const Stream& stream) { add(stream.descriptor(), stream.wants_to_write()); }
  void until(craftnet::Time deadline);

 private:
  std::vector<pollfd> polled_;
};

/// Prints on stderr why connections fail: each reason once in a row.
class Failures {
 public:
  void report(const Url& url, const std::string& reason);

 private:
  std::string last_;
};

}  // namespace tools
