-- Made by `python -m craftnet.protocols.wire.generate` from the layouts of craftnet.protocols. Do not edit.
-- wireshark -X lua_script:craftnet.lua

local DATAGRAM_VERSION = 1
local KINDS = { [1] = "HELLO", [2] = "CHALLENGE", [3] = "RESPONSE", [4] = "STATE", [5] = "ACK", [6] = "HEARTBEAT", [7] = "RESYNC", [8] = "CLOSE", [9] = "PATH_CHALLENGE", [10] = "PATH_RESPONSE", [11] = "LEAVE", [12] = "MESSAGE" }
local TAGS = { [1] = "ProgressState", [2] = "ReasonPart", [3] = "MaterialsPart", [4] = "ProblemsPart", [5] = "MaterialsDelta", [6] = "FreshSecret", [7] = "Selector", [8] = "SessionOver", [9] = "FeedPosition", [10] = "SessionName" }

local layouts = {}
layouts.Header = { filter = "header", size = 32, fields = {
  { name = "packet_type", offset = 0, size = 1, kind = "uint8", width = 8 },
  { name = "version", offset = 1, size = 1, kind = "uint8", width = 4, shift = 4, mask = "f0" },
  { name = "length", offset = 2, size = 2, kind = "uint16", width = 16 },
  { name = "sequence", offset = 4, size = 4, kind = "uint32", width = 32 },
  { name = "timestamp_ms", offset = 8, size = 8, kind = "uint64", width = 64 },
  { name = "session_id", offset = 16, size = 16, kind = "guid" },
} }
layouts.ProgressBody = { filter = "progress_body", size = 16, fields = {
  { name = "percent", offset = 0, size = 2, kind = "uint16", width = 16 },
  { name = "quality", offset = 2, size = 1, kind = "uint8", width = 8 },
  { name = "target_quality", offset = 3, size = 1, kind = "uint8", width = 8 },
  { name = "remaining_ms", offset = 4, size = 4, kind = "uint32", width = 32 },
  { name = "flags", offset = 8, size = 1, kind = "uint8", width = 8 },
} }
layouts.ChangeRow = { filter = "change_row", size = 24, fields = {
  { name = "material_id", offset = 0, size = 16, kind = "guid" },
  { name = "quantity", offset = 16, size = 4, kind = "uint32", width = 32 },
  { name = "change_type", offset = 20, size = 1, kind = "uint8", width = 8, members = { [0] = 'added', [1] = 'removed', [2] = 'quantity_changed', [3] = 'quality_changed' } },
  { name = "quality", offset = 21, size = 1, kind = "uint8", width = 8 },
} }
layouts.Hello = { filter = "hello", size = 496, fields = {
  { name = "connection_id", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "client_nonce", offset = 5, size = 16, kind = "bytes" },
} }
layouts.Challenge = { filter = "challenge", size = 61, fields = {
  { name = "connection_id", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "client_nonce", offset = 5, size = 16, kind = "bytes" },
  { name = "issued_us", offset = 21, size = 8, kind = "uint64", width = 64 },
  { name = "server_nonce", offset = 29, size = 16, kind = "bytes" },
  { name = "cookie", offset = 45, size = 16, kind = "bytes" },
} }
layouts.Response = { filter = "response", size = 496, fields = {
  { name = "connection_id", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "client_nonce", offset = 5, size = 16, kind = "bytes" },
  { name = "issued_us", offset = 21, size = 8, kind = "uint64", width = 64 },
  { name = "server_nonce", offset = 29, size = 16, kind = "bytes" },
  { name = "cookie", offset = 45, size = 16, kind = "bytes" },
} }
layouts.SealedHeader = { filter = "sealed_header", size = 7, fields = {
  { name = "key_phase", offset = 0, size = 1, kind = "uint8", width = 1, shift = 5, mask = "20" },
  { name = "kind", offset = 0, size = 1, kind = "uint8", width = 5, shift = 0, mask = "1f", members = { [4] = 'state', [5] = 'ack', [6] = 'heartbeat', [7] = 'resync', [8] = 'close', [9] = 'path_challenge', [10] = 'path_response', [11] = 'leave', [12] = 'message' } },
  { name = "connection_id", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "sequence", offset = 5, size = 2, kind = "uint16", width = 16 },
} }
layouts.Acknowledgement = { filter = "acknowledgement", size = 8, fields = {
  { name = "newest", offset = 0, size = 4, kind = "uint32", width = 32 },
  { name = "earlier", offset = 4, size = 4, kind = "uint32", width = 32 },
} }
layouts.Heartbeat = { filter = "heartbeat", size = 24, fields = {
  { name = "sent_us", offset = 0, size = 8, kind = "uint64", width = 64 },
  { name = "echoed_us", offset = 8, size = 8, kind = "uint64", width = 64 },
  { name = "received_us", offset = 16, size = 8, kind = "uint64", width = 64 },
} }
layouts.Close = { filter = "close", size = 1, fields = {
  { name = "reason", offset = 0, size = 1, kind = "uint8", width = 8, members = { [1] = 'ended', [2] = 'going_away', [3] = 'internal_error', [4] = 'expired', [5] = 'not_found', [6] = 'left', [7] = 'revoked' } },
} }
layouts.Held = { filter = "held", size = 4, fields = {
  { name = "version", offset = 0, size = 4, kind = "uint32", width = 32 },
} }
layouts.HeldToo = { filter = "held_too", size = 5, fields = {
  { name = "session", offset = 0, size = 1, kind = "uint8", width = 8 },
  { name = "version", offset = 1, size = 4, kind = "uint32", width = 32 },
} }
layouts.Left = { filter = "left", size = 1, fields = {
  { name = "session", offset = 0, size = 1, kind = "uint8", width = 8 },
} }
layouts.Probe = { filter = "probe", size = 8, fields = {
  { name = "data", offset = 0, size = 8, kind = "bytes" },
} }
layouts.Fragment = { filter = "fragment", size = 3, fields = {
  { name = "part", offset = 0, size = 1, kind = "uint8", width = 2, shift = 6, mask = "c0" },
  { name = "last", offset = 0, size = 1, kind = "uint8", width = 2, shift = 4, mask = "30" },
  { name = "most", offset = 1, size = 2, kind = "uint16", width = 16 },
} }
layouts.ProgressState = { filter = "progress_state", size = 21, fields = {
  { name = "version", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "anchor_ms", offset = 5, size = 8, kind = "uint64", width = 64 },
  { name = "percent", offset = 13, size = 4, kind = "uint32", width = 14, shift = 18, mask = "fffc0000" },
  { name = "status", offset = 13, size = 4, kind = "uint32", width = 3, shift = 15, mask = "38000", members = { [0] = 'active', [1] = 'paused', [2] = 'interrupted', [3] = 'completed', [4] = 'failed' } },
  { name = "quality", offset = 13, size = 4, kind = "uint32", width = 7, shift = 8, mask = "7f00" },
  { name = "target_quality", offset = 13, size = 4, kind = "uint32", width = 7, shift = 1, mask = "fe" },
  { name = "remaining_ms", offset = 17, size = 4, kind = "uint32", width = 32 },
} }
layouts.ReasonPart = { filter = "reason_part", size = 10, fields = {
  { name = "version", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "total", offset = 5, size = 2, kind = "uint16", width = 16 },
  { name = "offset", offset = 7, size = 2, kind = "uint16", width = 16 },
  { name = "length", offset = 9, size = 1, kind = "uint8", width = 8 },
} }
layouts.MaterialsPart = { filter = "materials_part", size = 12, fields = {
  { name = "version", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "rows", offset = 5, size = 2, kind = "uint16", width = 16 },
  { name = "problems", offset = 7, size = 2, kind = "uint16", width = 16 },
  { name = "first", offset = 9, size = 2, kind = "uint16", width = 16 },
  { name = "count", offset = 11, size = 1, kind = "uint8", width = 8 },
} }
layouts.MaterialRow = { filter = "material_row", size = 21, fields = {
  { name = "material_id", offset = 0, size = 16, kind = "guid" },
  { name = "quantity", offset = 16, size = 4, kind = "uint32", width = 32 },
  { name = "quality", offset = 20, size = 1, kind = "uint8", width = 8 },
} }
layouts.ProblemsPart = { filter = "problems_part", size = 8, fields = {
  { name = "version", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "first", offset = 5, size = 2, kind = "uint16", width = 16 },
  { name = "count", offset = 7, size = 1, kind = "uint8", width = 8 },
} }
layouts.ProblemRow = { filter = "problem_row", size = 13, fields = {
  { name = "row", offset = 0, size = 2, kind = "uint16", width = 16 },
  { name = "problem", offset = 2, size = 1, kind = "uint8", width = 8, members = { [0] = 'insufficient_quantity', [1] = 'quality_too_low', [2] = 'material_unavailable', [3] = 'material_restored' } },
  { name = "required_quantity", offset = 3, size = 4, kind = "uint32", width = 32 },
  { name = "available_quantity", offset = 7, size = 4, kind = "uint32", width = 32 },
  { name = "required_quality", offset = 11, size = 1, kind = "uint8", width = 8 },
  { name = "available_quality", offset = 12, size = 1, kind = "uint8", width = 8 },
} }
layouts.MaterialsDelta = { filter = "materials_delta", size = 9, fields = {
  { name = "version", offset = 1, size = 4, kind = "uint32", width = 32 },
  { name = "back", offset = 5, size = 1, kind = "uint8", width = 8 },
  { name = "rows", offset = 6, size = 2, kind = "uint16", width = 16 },
  { name = "count", offset = 8, size = 1, kind = "uint8", width = 8 },
} }
layouts.FreshSecret = { filter = "fresh_secret", size = 33, fields = {
  { name = "secret", offset = 1, size = 32, kind = "bytes" },
} }
layouts.Selector = { filter = "selector", size = 2, fields = {
  { name = "session", offset = 1, size = 1, kind = "uint8", width = 8 },
} }
layouts.SessionOver = { filter = "session_over", size = 2, fields = {
  { name = "reason", offset = 1, size = 1, kind = "uint8", width = 8, members = { [1] = 'ended', [2] = 'going_away', [3] = 'internal_error', [4] = 'expired', [5] = 'not_found', [6] = 'left', [7] = 'revoked' } },
} }
layouts.FeedPosition = { filter = "feed_position", size = 10, fields = {
  { name = "version", offset = 1, size = 8, kind = "uint64", width = 64 },
  { name = "length", offset = 9, size = 1, kind = "uint8", width = 8 },
} }
layouts.SessionName = { filter = "session_name", size = 17, fields = {
  { name = "session_id", offset = 1, size = 16, kind = "guid" },
} }

local bit_layouts = {}
bit_layouts.RowProblem = {
  { name = "problem", width = 2 },
  { name = "required_quantity", nested = "Number" },
  { name = "available_quantity", nested = "Number" },
  { name = "required_quality", width = 7 },
  { name = "available_quality", width = 7 },
}
bit_layouts.RowChange = {
  { name = "row" },
  { name = "has_quantity", width = 1, flag = true },
  { name = "has_quality", width = 1, flag = true },
  { name = "has_problem", width = 1, flag = true },
  { name = "quantity", nested = "Number", condition = "has_quantity" },
  { name = "quality", width = 7, condition = "has_quality" },
  { name = "stands", width = 1, flag = true, condition = "has_problem" },
  { name = "problem", nested = "RowProblem", condition = "stands" },
}

-- What follows is not made from the layouts: the order of records, the cipher, and the key log.

local craftnet = Proto("craftnet", "craftnet UDP protocol, version 1")
craftnet.prefs.port = Pref.uint("UDP port of the server", 8082, "Datagrams from this port are the server's")
craftnet.prefs.keylog = Pref.string("Key log", "", "The file that CRAFTNET_KEYLOG named; datagrams are decrypted with it")

local bit = bit32 or bit
local function bxor(a, b) return bit.bxor(a, b) % 4294967296 end
local function band(a, b) return bit.band(a, b) % 4294967296 end
local function right(a, n) return math.floor(a / 2 ^ n) end

-- Fields ----------------------------------------------------------------------------------------------------------

local fields, registered = {}, {}
for name, layout in pairs(layouts) do
  for _, field in ipairs(layout.fields) do
    local key = "craftnet." .. layout.filter .. "." .. field.name
    local made
    if field.kind == "guid" then made = ProtoField.guid(key, field.name)
    elseif field.kind == "bytes" then made = ProtoField.bytes(key, field.name)
    elseif field.kind == "uint64" then made = ProtoField.uint64(key, field.name, base.DEC, nil, field.mask and UInt64.fromhex(field.mask))
    else made = ProtoField[field.kind](key, field.name, base.DEC, field.members, field.mask and tonumber(field.mask, 16)) end
    fields[name .. "." .. field.name] = made
    registered[#registered + 1] = made
  end
end
local extra = {
  kind = ProtoField.uint8("craftnet.kind", "Kind", base.DEC, KINDS, 0x1f),
  mac = ProtoField.bytes("craftnet.mac", "MAC"),
  tag = ProtoField.bytes("craftnet.tag", "Tag"),
  padding = ProtoField.bytes("craftnet.padding", "Padding"),
  sealed = ProtoField.bytes("craftnet.sealed", "Sealed content"),
  sequence = ProtoField.uint64("craftnet.full_sequence", "Whole sequence"),
  generation = ProtoField.uint32("craftnet.generation", "Generation of keys"),
  text = ProtoField.string("craftnet.text", "Text"),
  change = ProtoField.string("craftnet.change", "Change"),
  packed = ProtoField.bytes("craftnet.packed", "Compressed content"),
  reassembled = ProtoField.framenum("craftnet.reassembled_in", "Reassembled in"),
  part = ProtoField.framenum("craftnet.part", "Part in"),
  unknown = ProtoField.bytes("craftnet.malformed", "Not as PROTOCOL.md says"),
}
for _, field in pairs(extra) do registered[#registered + 1] = field end
craftnet.fields = registered

-- AES-128 and GCM (FIPS 197, NIST SP 800-38D) ---------------------------------------------------------------------

local SBOX = {}
do
  local p, q = 1, 1
  local function rotl8(x, n) return band(x * 2 ^ n, 255) + right(x, 8 - n) end
  repeat
    p = band(bxor(bxor(p, band(p * 2, 255)), p >= 128 and 0x1b or 0), 255)
    q = bxor(q, band(q * 2, 255))
    q = bxor(q, band(q * 4, 255))
    q = bxor(q, band(q * 16, 255))
    if q >= 128 then q = bxor(q, 9) end
    SBOX[p] = bxor(bxor(bxor(bxor(bxor(q, rotl8(q, 1)), rotl8(q, 2)), rotl8(q, 3)), rotl8(q, 4)), 0x63)
  until p == 1
  SBOX[0] = 0x63
end

local function xtime(x) return band(bxor(band(x * 2, 255), x >= 128 and 0x1b or 0), 255) end

local function expand(key) -- 16 bytes to 176
  local w, rcon = {}, 1
  for i = 1, 16 do w[i] = key[i] end
  for i = 17, 176, 4 do
    local t = { w[i - 4], w[i - 3], w[i - 2], w[i - 1] }
    if (i - 1) % 16 == 0 then
      t = { bxor(SBOX[t[2]], rcon), SBOX[t[3]], SBOX[t[4]], SBOX[t[1]] }
      rcon = xtime(rcon)
    end
    for k = 0, 3 do w[i + k] = bxor(w[i - 16 + k], t[k + 1]) end
  end
  return w
end

local function encrypt(w, block)
  local s = {}
  for i = 1, 16 do s[i] = bxor(block[i], w[i]) end
  for round = 1, 10 do
    local t = {}
    for c = 0, 3 do
      for r = 0, 3 do t[4 * c + r + 1] = SBOX[s[4 * ((c + r) % 4) + r + 1]] end
    end
    if round < 10 then
      for c = 0, 3 do
        local a = { t[4 * c + 1], t[4 * c + 2], t[4 * c + 3], t[4 * c + 4] }
        local all = bxor(bxor(a[1], a[2]), bxor(a[3], a[4]))
        for r = 1, 4 do t[4 * c + r] = bxor(bxor(a[r], all), xtime(bxor(a[r], a[r % 4 + 1]))) end
      end
    end
    for i = 1, 16 do s[i] = bxor(t[i], w[16 * round + i]) end
  end
  return s
end

local function words(block)
  local out = {}
  for k = 0, 3 do
    out[k + 1] = block[4 * k + 1] * 16777216 + block[4 * k + 2] * 65536 + block[4 * k + 3] * 256 + block[4 * k + 4]
  end
  return out
end

local function multiply(x, h) -- in GF(2^128)
  local z1, z2, z3, z4 = 0, 0, 0, 0
  local v1, v2, v3, v4 = h[1], h[2], h[3], h[4]
  for k = 1, 4 do
    local mask = 2147483648
    for _ = 1, 32 do
      if band(x[k], mask) ~= 0 then z1, z2, z3, z4 = bxor(z1, v1), bxor(z2, v2), bxor(z3, v3), bxor(z4, v4) end
      local carry = v4 % 2
      v4 = right(v4, 1) + (v3 % 2) * 2147483648
      v3 = right(v3, 1) + (v2 % 2) * 2147483648
      v2 = right(v2, 1) + (v1 % 2) * 2147483648
      v1 = right(v1, 1)
      if carry == 1 then v1 = bxor(v1, 0xe1000000) end
      mask = mask / 2
    end
  end
  return { z1, z2, z3, z4 }
end

local function ghash(h, parts)
  local y = { 0, 0, 0, 0 }
  for _, part in ipairs(parts) do
    for at = 1, #part, 16 do
      local block = {}
      for k = 0, 15 do block[k + 1] = part[at + k] or 0 end
      local x = words(block)
      y = multiply({ bxor(y[1], x[1]), bxor(y[2], x[2]), bxor(y[3], x[3]), bxor(y[4], x[4]) }, h)
    end
  end
  return y
end

local function numbers(text) return { text:byte(1, #text) } end

local function length_block(associated, content)
  local block = {}
  for k = 1, 16 do block[k] = 0 end
  for k = 0, 3 do
    block[8 - k] = right(associated * 8, 8 * k) % 256
    block[16 - k] = right(content * 8, 8 * k) % 256
  end
  return block
end

-- The content of a sealed datagram; nil when its tag does not hold under this key.
local function open(key, sequence, datagram)
  local header, sealed = datagram:sub(1, 7), datagram:sub(8, -17)
  local nonce = numbers(key.iv)
  for k = 0, 7 do nonce[12 - k] = bxor(nonce[12 - k], right(sequence, 8 * k) % 256) end
  nonce[13], nonce[14], nonce[15], nonce[16] = 0, 0, 0, 1
  key.schedule = key.schedule or expand(numbers(key.key))
  local zeros = {}
  for k = 1, 16 do zeros[k] = 0 end
  local h = words(encrypt(key.schedule, zeros))
  local mask = words(encrypt(key.schedule, nonce))
  local y = ghash(h, { numbers(header), numbers(sealed), length_block(#header, #sealed) })
  local wanted = words(numbers(datagram:sub(-16)))
  for k = 1, 4 do
    if bxor(y[k], mask[k]) ~= wanted[k] then return nil end
  end
  local out = {}
  for at = 1, #sealed, 16 do
    local count = (at - 1) / 16 + 2
    nonce[13], nonce[14] = right(count, 24) % 256, right(count, 16) % 256
    nonce[15], nonce[16] = right(count, 8) % 256, count % 256
    local stream = encrypt(key.schedule, nonce)
    for k = 0, math.min(15, #sealed - at) do out[#out + 1] = string.char(bxor(sealed:byte(at + k), stream[k + 1])) end
  end
  return table.concat(out)
end

-- LZ4 block format; nil when it is not what was packed.
local function unpack_lz4(packed, size)
  local out, at = {}, 1
  local function length(nibble)
    local sum = nibble
    while nibble == 15 do
      local octet = packed:byte(at)
      if not octet then return nil end
      at, sum = at + 1, sum + octet
      if octet < 255 then break end
    end
    return sum
  end
  while at <= #packed do
    local token = packed:byte(at)
    at = at + 1
    local literals = length(right(token, 4))
    if not literals or at + literals - 1 > #packed or #out + literals > size then return nil end
    for k = at, at + literals - 1 do out[#out + 1] = packed:sub(k, k) end
    at = at + literals
    if at > #packed then break end
    if at == #packed then return nil end
    local distance = packed:byte(at) + 256 * packed:byte(at + 1)
    at = at + 2
    local match = length(token % 16)
    if not match or distance == 0 or distance > #out or #out + match + 4 > size then return nil end
    for _ = 1, match + 4 do out[#out + 1] = out[#out + 1 - distance] end
  end
  return #out == size and table.concat(out) or nil
end

-- The key log: lines of connection id, sender, generation, key and IV, in hexadecimal digits -----------------------

local keys, opened, newest, messages

local function unhex(digits)
  return (digits:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end))
end

function craftnet.init()
  keys, opened, newest, messages = {}, {}, {}, {}
  if craftnet.prefs.keylog == "" then return end
  local file = io.open(craftnet.prefs.keylog, "r")
  if not file then return end
  for line in file:lines() do
    local id, sender, generation, key, iv = line:match("^CRAFTNET_UDP_1 (%x+) (%a+) (%d+) (%x+) (%x+)")
    if id then
      local name = id:lower() .. " " .. sender
      keys[name] = keys[name] or {}
      table.insert(keys[name], 1, { generation = tonumber(generation), key = unhex(key), iv = unhex(iv) })
    end
  end
  file:close()
end

local function complete(before, low) -- RFC 9000, appendix A.3
  local expected = before + 1
  local candidate = expected - expected % 65536 + low
  if candidate + 32768 <= expected then return candidate + 65536 end
  if candidate > expected + 32768 and candidate >= 65536 then return candidate - 65536 end
  return candidate
end

-- What a datagram says: { content, sequence, generation }; false when no key opens it.
local function decrypted(number, datagram, from_server)
  if opened[number] ~= nil then return opened[number] end
  local id = string.format("%02x%02x%02x%02x", datagram:byte(2, 5))
  local phase, low = right(datagram:byte(1), 5) % 2, datagram:byte(6) * 256 + datagram:byte(7)
  opened[number] = false
  for _, sender in ipairs(from_server and { "server", "client" } or { "client", "server" }) do
    local name = id .. " " .. sender
    for _, key in ipairs(keys[name] or {}) do
      for _, sequence in ipairs({ complete(newest[name] or 0, low), low }) do
        local content = key.generation % 2 == phase and open(key, sequence, datagram)
        if content then
          newest[name] = math.max(newest[name] or 0, sequence)
          opened[number] = { id = id, content = content, sequence = sequence, generation = key.generation }
          return opened[number]
        end
      end
    end
  end
  return false
end

-- Trees -----------------------------------------------------------------------------------------------------------

-- Shows a record of fixed size at `at`; returns what is behind it and the record's values, or nil when it is cut short.
local function record(tree, tvb, at, name)
  local layout = layouts[name]
  if at + layout.size > tvb:len() then return nil end
  local branch, values = tree:add(craftnet, tvb(at, layout.size), name), {}
  for _, field in ipairs(layout.fields) do
    local range = tvb(at + field.offset, field.size)
    branch:add(fields[name .. "." .. field.name], range)
    if field.size <= 4 and field.kind ~= "bytes" then
      values[field.name] = right(range:uint(), field.shift or 0) % 2 ^ field.width
    end
  end
  return at + layout.size, values, branch
end

local function rows(tree, tvb, at, name, count)
  for _ = 1, count do
    at = at and record(tree, tvb, at, name)
  end
  return at
end

local function bits_of(tvb, at)
  local place = 8 * at
  local reader = {}
  function reader.take(count)
    local value = 0
    for _ = 1, count do
      if place >= 8 * tvb:len() then return 0 end
      value = value * 2 + right(tvb(math.floor(place / 8), 1):uint(), 7 - place % 8) % 2
      place = place + 1
    end
    return value
  end
  function reader.number()
    local length = reader.take(6)
    return length == 63 and "unknown" or tostring(reader.take(math.min(length, 32)))
  end
  function reader.at() return math.ceil(place / 8) end
  return reader
end

-- The entries of a MaterialsDelta, as the layouts of bits say.
local function bit_record(reader, name, row_bits)
  local values, said = {}, {}
  for _, field in ipairs(bit_layouts[name]) do
    if field.condition == nil or values[field.condition] == 1 then
      local value
      if field.nested == "Number" then value = reader.number()
      elseif field.nested then value = "(" .. bit_record(reader, field.nested) .. ")"
      else value = reader.take(field.width or row_bits) end
      values[field.name] = value
      if not field.flag then said[#said + 1] = field.name .. "=" .. tostring(value)
      elseif field.condition and value == 0 then said[#said + 1] = "no problem" end
    end
  end
  return table.concat(said, " ")
end

local function delta(branch, tvb, at, values)
  local row_bits, last = 1, values.rows - 1
  while last > 1 do row_bits, last = row_bits + 1, math.floor(last / 2) end
  local reader = bits_of(tvb, at)
  for _ = 1, values.count do
    local before = reader.at()
    local said = bit_record(reader, "RowChange", row_bits)
    local from = math.max(at, before - 1)
    if from >= tvb:len() then return nil end
    branch:add(extra.change, tvb(from, math.max(1, math.min(reader.at(), tvb:len()) - from)), said)
  end
  return reader.at()
end

local function state(tree, tvb, at)
  while at and at < tvb:len() do
    local name, start = TAGS[tvb(at, 1):uint()], at
    if not name then return tree:add(extra.unknown, tvb(at)) end
    local values, branch
    at, values, branch = record(tree, tvb, at, name)
    if at and (name == "ReasonPart" or name == "FeedPosition") then
      if at + values.length > tvb:len() then return tree:add(extra.unknown, tvb(start)) end
      branch:add(extra.text, tvb(at, values.length))
      at = at + values.length
    elseif at and name == "MaterialsPart" then at = rows(branch, tvb, at, "MaterialRow", values.count)
    elseif at and name == "ProblemsPart" then at = rows(branch, tvb, at, "ProblemRow", values.count)
    elseif at and name == "MaterialsDelta" then at = delta(branch, tvb, at, values)
    end
    if not at then return tree:add(extra.unknown, tvb(start)) end
  end
end

-- A MESSAGE is one LZ4 block, in up to four datagrams with consecutive sequences. The datagram that completes it shows the
-- content; the others name that datagram, once it is known.
local function message(tree, tvb, at, datagram)
  local behind, values = record(tree, tvb, at, "Fragment")
  if not behind or behind >= tvb:len() then return end
  tree:add(extra.packed, tvb(behind))
  local name = datagram.id .. " " .. string.format("%.0f", datagram.sequence - values.part)
  local whole = messages[name]
  if not whole or whole.last ~= values.last or whole.most ~= values.most then
    whole = { last = values.last, most = values.most, parts = {}, frames = {} }
    messages[name] = whole
  end
  whole.parts[values.part] = whole.parts[values.part] or tvb(behind):raw()
  whole.frames[values.part] = whole.frames[values.part] or datagram.number
  local packed = ""
  for part = 0, whole.last do
    if not whole.parts[part] then return end
    packed = packed .. whole.parts[part]
  end
  whole.completed = whole.completed or datagram.number
  if whole.completed ~= datagram.number then
    tree:add(extra.reassembled, tvb(at), whole.completed):set_generated()
    return
  end
  for part = 0, whole.last do
    if whole.last > 0 then tree:add(extra.part, tvb(at), whole.frames[part]):set_generated() end
  end
  local content = unpack_lz4(packed, whole.most + 1)
  if not content then
    tree:add(extra.unknown, tvb(behind))
    return
  end
  state(tree, ByteArray.new(content, true):tvb("Decompressed"), 0)
end

local BODIES = {
  ACK = function(tree, tvb, at)
    at = record(tree, tvb, at, "Held")
    while at and at < tvb:len() do at = record(tree, tvb, at, "HeldToo") end
  end,
  LEAVE = function(tree, tvb, at)
    while at and at < tvb:len() do at = record(tree, tvb, at, "Left") end
  end,
  HEARTBEAT = function(tree, tvb, at) record(tree, tvb, at, "Heartbeat") end,
  CLOSE = function(tree, tvb, at) record(tree, tvb, at, "Close") end,
  PATH_CHALLENGE = function(tree, tvb, at) record(tree, tvb, at, "Probe") end,
  PATH_RESPONSE = function(tree, tvb, at) record(tree, tvb, at, "Probe") end,
  STATE = state,
  MESSAGE = message,
}

local HANDSHAKE = { HELLO = "Hello", CHALLENGE = "Challenge", RESPONSE = "Response" }

local function sealed(tree, tvb, pinfo, kind)
  record(tree, tvb, 0, "SealedHeader")
  tree:add(extra.sealed, tvb(7, tvb:len() - 23))
  tree:add(extra.tag, tvb(tvb:len() - 16))
  local found = decrypted(pinfo.number, tvb:raw(0, tvb:len()), pinfo.src_port == craftnet.prefs.port)
  if not found then return end
  tree:add(extra.sequence, tvb(5, 2), UInt64.new(found.sequence)):set_generated()
  tree:add(extra.generation, tvb(0, 1), found.generation):set_generated()
  local content = ByteArray.new(found.content, true):tvb("Decrypted")
  local at = record(tree, content, 0, "Acknowledgement")
  local datagram = { number = pinfo.number, id = found.id, sequence = found.sequence }
  if at and BODIES[kind] and at <= content:len() then BODIES[kind](tree, content, at, datagram) end
end

function craftnet.dissector(tvb, pinfo, root)
  if tvb:len() < 31 or right(tvb(0, 1):uint(), 6) ~= DATAGRAM_VERSION then return 0 end
  local kind = KINDS[tvb(0, 1):uint() % 32]
  if not kind then return 0 end
  pinfo.cols.protocol = "craftnet"
  pinfo.cols.info = kind
  local tree = root:add(craftnet, tvb(), "craftnet " .. kind)
  tree:add(extra.kind, tvb(0, 1))
  local layout = HANDSHAKE[kind]
  if not layout then
    sealed(tree, tvb, pinfo, kind)
    return tvb:len()
  end
  local at = record(tree, tvb, 0, layout)
  if at and at + 16 <= tvb:len() then tree:add(extra.mac, tvb(at, 16)) end
  return tvb:len()
end

local ports, port = DissectorTable.get("udp.port"), craftnet.prefs.port
ports:add(port, craftnet)

function craftnet.prefs_changed()
  if craftnet.prefs.port == port then return end
  ports:remove(port, craftnet)
  port = craftnet.prefs.port
  ports:add(port, craftnet)
end
