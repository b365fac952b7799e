// craftnet-watch: follows sessions and prints one JSON line an event. It tests the core against a real server.
#include <algorithm>
#include <cstdio>

#include "datagrams.h"
#include "follow.h"

namespace tools {

volatile std::sig_atomic_t interrupted = 0;

void Waiting::add(int descriptor, bool writes) {
  if (descriptor >= 0) polled_.push_back({descriptor, static_cast<short>(POLLIN | (writes ? POLLOUT : 0)), 0});
}

void Waiting::until(craftnet::Time deadline) {
  const craftnet::Time left = std::clamp<craftnet::Time>(deadline - now(), 0, craftnet::kSecond);
  (void)poll(polled_.data(), polled_.size(), static_cast<int>((left + 999) / 1000));
}

void Failures::report(const Url& url, const std::string& reason) {
  if (!reason.empty() && reason != last_) {
    std::fprintf(stderr, "craftnet-watch: %s: %s\n", url.authority().c_str(), reason.c_str());
  }
  last_ = reason;
}

}  // namespace tools

int main(int count, char** words) {
  tools::Options options;
  const int status = options.parse(count, words);
  if (status >= 0) return status;
  std::signal(SIGINT, [](int) { tools::interrupted = 1; });
  std::signal(SIGTERM, [](int) { tools::interrupted = 1; });
  std::signal(SIGPIPE, SIG_IGN);
  return options.sessions.size() == 1 ? tools::follow_one(options) : tools::follow_several(options);
}
