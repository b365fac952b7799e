#include "craftnet/message.h"

#include "craftnet/bodies.h"

namespace craftnet {

Outcome Reassembly::take(Bytes body, std::uint64_t sequence, Bytes& content, std::uint64_t& counts_as) {
  content = {};
  wire::Fragment fragment;
  Bytes packed;
  const Outcome outcome = decode_fragment(body, fragment, packed);
  if (outcome != Outcome::kAccepted) return outcome;
  const std::size_t size = std::size_t{fragment.most} + 1;
  if (size > limit_) return Outcome::kOverlong;
  if (fragment.last == 0) {
    counts_as = sequence;
    return unpack(packed, size, content);
  }
  if (sequence <= fragment.part) return Outcome::kStale;
  const std::uint64_t first = sequence - fragment.part;
  if (first < first_ || (first == first_ && !open_)) return Outcome::kStale;
  if (first > first_) {
    first_ = first;
    open_ = true;
    last_ = fragment.last;
    size_ = size;
    for (std::vector<std::uint8_t>& part : parts_) part.clear();
  }
  if (fragment.last != last_ || size != size_) return Outcome::kContradictory;
  parts_[fragment.part].assign(packed.data, packed.data + packed.size);
  std::size_t total = 0;
  std::size_t there = 0;
  for (const std::vector<std::uint8_t>& part : parts_) {
    total += part.size();
    there += part.empty() ? 0U : 1U;
  }
  const bool whole = there > last_;
  if (whole || total >= size_) open_ = false;
  if (total >= size_) return Outcome::kOutOfRange;
  if (!whole) return Outcome::kAccepted;
  packed_.clear();
  for (const std::vector<std::uint8_t>& part : parts_) packed_.insert(packed_.end(), part.begin(), part.end());
  counts_as = first;
  return unpack({packed_.data(), packed_.size()}, size_, content);
}

Outcome Reassembly::unpack(Bytes packed, std::size_t size, Bytes& content) {
  if (packed.size >= size) return Outcome::kOutOfRange;
  content_.resize(size);
  if (!lz4_.decompress(packed, {}, content_.data(), size)) return Outcome::kGarbled;
  content = {content_.data(), size};
  return Outcome::kAccepted;
}

}  // namespace craftnet
