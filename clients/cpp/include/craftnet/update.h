// The records of the HTTP interface and of craftnet.bin.v1 (PROTOCOL.md, "Records over HTTP").
#pragma once

#include <cstddef>

#include "craftnet/bytes.h"
#include "craftnet/wire.h"

namespace craftnet {

enum class UpdateType : std::uint8_t { kProgress = 1, kMaterials = 2 };

/// Flags of a progress; active without any.
enum ProgressFlags : std::uint8_t { kPaused = 1, kInterrupted = 2, kCompleted = 4, kFailed = 8 };

constexpr std::size_t kProgressUpdateSize = wire::Header::kSize + wire::ProgressBody::kSize;
constexpr std::size_t kMaxChanges = 200;

/// A record of either type. Of materials, `rows` is a view of `count` rows.
struct Update {
  UpdateType type = UpdateType::kProgress;
  wire::Header header;
  wire::ProgressBody progress;
  Bytes rows;
  std::size_t count = 0;

  /// The change of materials with this number.
  [[nodiscard]] wire::ChangeRow change(std::size_t number) const noexcept;
};

[[nodiscard]] Outcome decode_update(Bytes octets, Update& update) noexcept;

/// Writes kProgressUpdateSize bytes, and sets type, version and length of the header.
void encode_progress_update(wire::Header header, const wire::ProgressBody& body, std::uint8_t* out) noexcept;

/// Writes 32 bytes and 24 for each of at most kMaxChanges changes; returns the size.
std::size_t encode_materials_update(wire::Header header, const wire::ChangeRow* changes, std::size_t count,
                                    std::uint8_t* out) noexcept;

}  // namespace craftnet
