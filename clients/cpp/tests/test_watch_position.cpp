// The position of a watch: over both transports, and with records of craftnet.bin.v1, which have none.
#include <string>

#include "craftnet/update.h"
#include "owner.h"
#include "testing.h"

using namespace craftnet;
using testing::kStart;
using testing::Owner;
using testing::watch_settings;
using Kind = WatchRequest::Kind;
using Event = WatchEvent::Kind;

namespace {

/// A watch over craftnet.bin.v1 that has been at version 5 << 22 | 3 << 11 | 1 of the epoch `e`.
struct BinaryOwner : Owner {
  BinaryOwner() : Owner(watch_settings(false)) {
    watch.websocket_opened("craftnet.bin.v1", now);
    receive_text(R"("type":"queue_status","epoch":"e","version":20977665,"recovered":false)");
  }

  static constexpr std::uint64_t version(std::uint64_t changes, std::uint64_t materials) {
    return changes << 22 | materials << 11 | 1;
  }

  void receive_change(std::uint32_t counted, std::uint32_t quantity) {
    wire::Header header;
    header.sequence = counted;
    header.session_id = watch_settings().session;
    header.timestamp_ms = 1800000000000 + quantity;
    wire::ChangeRow row;
    row.quantity = quantity;
    row.change_type = wire::ChangeType::kQuantityChanged;
    std::uint8_t record[wire::Header::kSize + wire::ChangeRow::kSize];
    const std::size_t size = encode_materials_update(header, &row, 1, record);
    watch.websocket_binary({record, size}, now);
    step();
  }

  void receive_progress(std::uint32_t counted) {
    wire::Header header;
    header.sequence = counted;
    header.session_id = watch_settings().session;
    header.timestamp_ms = 1800000000000;
    std::uint8_t record[kProgressUpdateSize];
    encode_progress_update(header, {}, record);
    watch.websocket_binary({record, sizeof record}, now);
    step();
  }

  /// Loses the connection and opens another one; the position that the watch resumes from.
  std::string reconnect() {
    requests.clear();
    watch.websocket_closed(1006, "", now);
    step();
    until(now + kSecond);
    const WatchRequest* open = last_request(Kind::kOpenWebSocket);
    EXPECT(open != nullptr);
    watch.websocket_opened("craftnet.bin.v1", now);
    events.clear();
    return open == nullptr ? "" : open->target.substr(open->target.find("resume=") + 7);
  }

  void recover(std::uint64_t from) {
    receive_text(R"("type":"queue_status","epoch":"e","recovered":true,"version":)" + std::to_string(from));
  }
};

}  // namespace

TEST(binary_records_advance_the_position) {
  BinaryOwner owner;
  static_assert(BinaryOwner::version(5, 3) == 20977665, "as in the first message");
  owner.receive_change(6, 10);
  owner.receive_change(8, 20);  // a change of the session itself has come between; it is not counted.
  owner.receive_progress(9);    // so the notifications of both changes have arrived, if there were any.
  EXPECT(owner.reconnect() == "e:" + std::to_string(BinaryOwner::version(7, 5)));
}

TEST(binary_record_is_not_reported_twice) {
  BinaryOwner owner;
  owner.receive_change(6, 10);
  owner.receive_change(7, 20);
  EXPECT(owner.count(Event::kMessage) == 2);
  EXPECT(owner.reconnect() == "e:" + std::to_string(BinaryOwner::version(6, 4)));  // the second may have notifications.
  owner.recover(BinaryOwner::version(6, 4));
  owner.receive_change(7, 20);
  EXPECT(owner.count(Event::kMessage) == 0);
  owner.receive_text(R"("type":"material_notification","epoch":"e","version":29370369,)"
                     R"("material_data":{"notification_type":"quality_too_low"})");
  EXPECT(owner.count(Event::kMessage) == 1);  // its notification, which had not arrived.
  EXPECT(owner.watch.position().version == BinaryOwner::version(7, 5));
  owner.receive_change(8, 20);
  EXPECT(owner.count(Event::kMessage) == 2);  // another change to the same quantity.
}

TEST(binary_record_that_was_missed_is_reported) {
  BinaryOwner owner;
  owner.receive_change(6, 10);
  EXPECT(owner.reconnect() == "e:" + std::to_string(BinaryOwner::version(5, 3)));
  owner.recover(BinaryOwner::version(5, 3));
  owner.receive_change(6, 10);
  owner.receive_change(7, 30);
  EXPECT(owner.count(Event::kMessage) == 1);
  owner.reconnect();
  owner.receive_text(R"("type":"queue_status","epoch":"f","version":4194304,"recovered":false)");
  owner.receive_change(2, 30);
  EXPECT(owner.count(Event::kReset) == 1 && owner.count(Event::kMessage) == 1);
}

TEST(binary_position_follows_a_long_craft) {
  BinaryOwner owner;
  owner.receive_progress(5 + 1023);
  EXPECT(owner.reconnect() == "e:" + std::to_string(BinaryOwner::version(5, 3)));
  owner.recover(BinaryOwner::version(5, 3));
  owner.receive_progress(5 + 1024);  // the server no longer knows how to read the first position.
  EXPECT(owner.reconnect() == "e:" + std::to_string(BinaryOwner::version(5 + 1024, 3)));
}

TEST(binary_record_between_notifications) {
  BinaryOwner owner;
  owner.receive_change(6, 10);
  owner.receive_text(R"("type":"material_notification","epoch":"e","version":20977665,)"  // that of before the change.
                     R"("material_data":{"notification_type":"quality_too_low"})");
  EXPECT(owner.reconnect() == "e:" + std::to_string(BinaryOwner::version(5, 3)));
  owner.recover(BinaryOwner::version(5, 3));
  owner.receive_change(6, 10);
  EXPECT(owner.count(Event::kMessage) == 0);
}

TEST(nothing_is_counted_before_the_state_is_whole) {
  BinaryOwner owner;
  owner.reconnect();
  owner.receive_text(R"("type":"queue_status","epoch":"e","version":0,"recovered":true)");
  owner.receive_change(6, 10);
  owner.receive_progress(2000);
  EXPECT(owner.reconnect() == "e:0");
}
