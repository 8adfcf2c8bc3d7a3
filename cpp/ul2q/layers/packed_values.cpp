#include "ul2q/layers/packed_values.hpp"

#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "caffe/common.hpp"
#include "ul2q/core/method.hpp"
#include "ul2q/core/packing.hpp"
#include "ul2q/layers/quantizer_parameter.hpp"

namespace caffe {
namespace {

constexpr double kWorthwhile = 0.97;
/// Codes that compress better are stored as they are: what a file takes in
/// memory then follows from its size.
constexpr std::int64_t kMostRatio = 64;

const std::uint8_t* Bytes(const std::string& bytes) {
  return reinterpret_cast<const std::uint8_t*>(bytes.data());
}
std::uint8_t* MutableBytes(std::string* bytes) {
  return reinterpret_cast<std::uint8_t*>(&(*bytes)[0]);
}

/// Deflates by one of zlib's strategies.
std::string Deflate(const std::string& bytes, int strategy) {
  z_stream stream = {};
  CHECK_EQ(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, MAX_WBITS,
                        9, strategy),
           Z_OK);
  std::string deflated(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = const_cast<std::uint8_t*>(Bytes(bytes));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = MutableBytes(&deflated);
  stream.avail_out = static_cast<uInt>(deflated.size());
  const int result = deflate(&stream, Z_FINISH);
  deflated.resize(stream.total_out);
  deflateEnd(&stream);
  CHECK_EQ(result, Z_STREAM_END) << "zlib failed";
  return deflated;
}

/// Exactly `size` bytes; throws CaffeError.
std::string Inflate(const std::string& bytes, std::int64_t size) {
  std::string inflated(size, '\0');
  uLongf found = size;
  uLong read = bytes.size();
  const int result =
      uncompress2(MutableBytes(&inflated), &found, Bytes(bytes), &read);
  CHECK(result == Z_OK && static_cast<std::int64_t>(found) == size &&
        read == bytes.size())
      << "packed.codes is no zlib stream of " << size << " bytes";
  return inflated;
}

std::string AsBytes(const ul2q::CodeNumbers& numbers, const std::string& plain,
                    std::int64_t n) {
  const ul2q::CodeNumbers own = {0, 1, numbers.highest, numbers.bits};
  std::vector<std::int32_t> codes(n);
  ul2q::UnpackCodes(own, Bytes(plain), 0, n, codes.data());
  return {codes.begin(), codes.end()};
}

std::string FromBytes(const ul2q::CodeNumbers& numbers,
                      const std::string& bytes) {
  const ul2q::CodeNumbers own = {0, 1, numbers.highest, numbers.bits};
  std::vector<std::int32_t> codes(bytes.size());
  std::transform(bytes.begin(), bytes.end(), codes.begin(), [&](char byte) {
    return static_cast<std::uint8_t>(byte) & ((1 << numbers.bits) - 1);
  });
  std::string plain(ul2q::PackedSize(codes.size(), numbers.bits), '\0');
  ul2q::PackCodes(own, codes.data(), codes.size(), MutableBytes(&plain));
  return plain;
}

/// Sets codes and their coding: the smallest.
void Compress(const ul2q::CodeNumbers& numbers, std::int64_t count,
              PackedBlob* message) {
  const std::string plain = message->codes();
  const auto take_if_smaller = [&](const std::string& bytes,
                                   PackedBlob::Coding coding) {
    for (const int strategy : {Z_DEFAULT_STRATEGY, Z_HUFFMAN_ONLY}) {
      std::string deflated = Deflate(bytes, strategy);
      const auto size = static_cast<std::int64_t>(deflated.size());
      if (deflated.size() < message->codes().size() &&
          size <= kWorthwhile * plain.size() &&
          static_cast<std::int64_t>(plain.size()) <= kMostRatio * size) {
        message->set_codes(std::move(deflated));
        message->set_coding(coding);
      }
    }
  };
  take_if_smaller(plain, PackedBlob::ZLIB);
  // Where bytes hold whole numbers, their own frequencies say more.
  if (numbers.bits < 8 && 8 % numbers.bits != 0) {
    take_if_smaller(AsBytes(numbers, plain, count), PackedBlob::ZLIB_BYTES);
  }
}

/// The product of four numbers from 1 up, or -1 where there is another, or
/// where it overflows.
template <typename Numbers>
std::int64_t Product(const Numbers& numbers) {
  std::int64_t product = 1;
  for (const std::int64_t number : numbers) {
    if (number < 1 || __builtin_mul_overflow(product, number, &product)) {
      return -1;
    }
  }
  return product;
}

bool AreSame(const ul2q::ChannelLayout& a, const ul2q::ChannelLayout& b) {
  if (a.channel_count() == 1 && b.channel_count() == 1) {
    return a.size() == b.size();
  }
  return a.groups == b.groups && a.outer == b.outer &&
         a.channels == b.channels && a.inner == b.inner;
}

const ul2q::CodesReaderRegistration registration(
    [](const BlobProto& proto,
       std::int64_t count) -> std::shared_ptr<const ul2q::BlobCodes> {
      return PackedValues::Read(proto, count);
    });

}  // namespace

std::shared_ptr<const PackedValues> PackedValues::Read(const BlobProto& proto,
                                                       std::int64_t count) {
  const auto& extents = proto.shape().dim();
  CHECK(!proto.has_shape() || Product(extents) == count)
      << "packed is of another shape, or of one that is too large";
  const std::shared_ptr<PackedValues> values(new PackedValues);
  values->message_ = proto.packed();
  values->ReadQuantizer();
  values->ReadLayout(count);
  values->ReadFits();
  values->ReadCodes();
  return values;
}

void PackedValues::ReadQuantizer() {
  const QuantizerParameter& options = message_.quantizer();
  CHECK(options.has_method() && options.has_bits() &&
        options.has_granularity() && options.has_shift())
      << "packed.quantizer must have method, bits, granularity and shift";
  CHECK(options.signed_()) << "packed.quantizer.signed is false; weights are "
                           << "signed";
  try {
    quantizer_ = ul2q::MakeQuantizer<float>(MethodName(options),
                                            OptionsOf(OptionsOfCodes(options)));
  } catch (const ul2q::OptionError& error) {
    LOG(FATAL) << "packed.quantizer." << error.what();
  }
}

void PackedValues::ReadLayout(std::int64_t count) {
  CHECK_GT(count, 0) << "packed is of a blob without values";
  const auto& numbers = message_.layout();
  layout_ = ul2q::ChannelLayout::Whole(count);
  if (numbers.empty()) {
    return;
  }
  CHECK(numbers.size() == 4 && Product(numbers) == count)
      << "packed.layout must be four numbers from 1 up whose product is "
      << count << ", the number of values";
  layout_ = {numbers[0], numbers[1], numbers[2], numbers[3]};
  CHECK(options().granularity() == QuantizerParameter::CHANNEL ||
        layout_.channel_count() == 1)
      << "packed.layout has " << layout_.channel_count()
      << " channels, with granularity TENSOR";
}

void PackedValues::ReadFits() {
  const std::int64_t channels = layout_.channel_count();
  CHECK_EQ(message_.scale_size(), channels)
      << "packed.scale must have a number for each channel";
  CHECK(message_.shift().empty() || message_.shift_size() == channels)
      << "packed.shift has " << message_.shift_size() << " numbers; must have "
      << channels << ", one for each channel, or none";
  fits_.resize(channels);
  for (std::int64_t i = 0; i < channels; ++i) {
    ul2q::ScaleShift<float>& fit = fits_[i];
    fit.scale = message_.scale(static_cast<int>(i));
    fit.shift =
        message_.shift().empty() ? 0 : message_.shift(static_cast<int>(i));
    CHECK(std::isfinite(fit.scale) && fit.scale >= 0)
        << "packed.scale of channel " << i << " is " << fit.scale
        << "; must be a finite number from 0 up";
    const ul2q::Levels<float> levels = OutermostLevels(*quantizer_, fit);
    CHECK(std::isfinite(levels.lowest) && std::isfinite(levels.highest))
        << "packed.scale and packed.shift of channel " << i
        << " give values that are not finite: " << fit.scale << " and "
        << fit.shift;
  }
}

void PackedValues::ReadCodes() {
  const auto numbers = ul2q::CodeNumbers::Of(*quantizer_);
  const std::int64_t size = ul2q::PackedSize(count(), numbers.bits);
  const std::string& stored = message_.codes();
  const auto stored_size = static_cast<std::int64_t>(stored.size());
  const PackedBlob::Coding coding = message_.coding();
  if (coding == PackedBlob::PLAIN) {
    CHECK_EQ(stored_size, size)
        << "packed.codes must have the bytes of " << count() << " codes of "
        << numbers.bits << " bits";
  } else {
    CHECK_LE(size, kMostRatio * stored_size)
        << "packed.codes is a zlib stream too short for " << count()
        << " codes of " << numbers.bits << " bits";
    if (coding == PackedBlob::ZLIB_BYTES) {
      const std::string bytes = Inflate(stored, count());
      CHECK(std::all_of(bytes.begin(), bytes.end(),
                        [&](char byte) {
                          return static_cast<std::uint8_t>(byte) <=
                                 numbers.highest;
                        }))
          << "packed.codes has numbers above " << numbers.highest;
      plain_ = FromBytes(numbers, bytes);
    } else {
      plain_ = Inflate(stored, size);
    }
  }
  const std::uint32_t checksum = Checksum();
  CHECK_EQ(message_.crc32(), checksum)
      << "packed is damaged: its checksum is another";
  if (numbers.highest + 1 < 1 << numbers.bits) {
    std::vector<std::int32_t> codes(count());
    Codes(0, count(), codes.data());
    const std::int32_t highest = *std::max_element(codes.begin(), codes.end());
    CHECK_LE(highest, quantizer_->highest_code())
        << "packed.codes has a code that method " << MethodName(options())
        << " does not have";
  }
}

std::uint32_t PackedValues::Checksum() const {
  std::string head;
  const auto add = [&](std::uint64_t number, int size) {
    for (int i = 0; i < size; ++i) {
      head += static_cast<char>(number >> 8 * i);
    }
  };
  for (const std::int64_t number :
       {std::int64_t(options().method()), std::int64_t(options().granularity()),
        std::int64_t(options().shift()), std::int64_t(options().bits()),
        layout_.groups, layout_.outer, layout_.channels, layout_.inner}) {
    add(static_cast<std::uint64_t>(number), 8);
  }
  for (const auto* floats : {&message_.scale(), &message_.shift()}) {
    for (const float number : *floats) {
      std::uint32_t bits;
      std::memcpy(&bits, &number, sizeof bits);
      add(bits, 4);
    }
  }
  uLong checksum = crc32_z(0, Bytes(head), head.size());
  checksum = crc32_z(checksum, Bytes(plain()), plain().size());
  return static_cast<std::uint32_t>(checksum);
}

std::shared_ptr<const PackedValues> PackedValues::Of(
    const QuantizedBlob<float>& blob, bool compress) {
  const float* master = blob.master->cpu_data();
  const std::int64_t count = blob.layout.size();
  const ul2q::Quantizer<float>& quantizer = *blob.quantizer;
  std::vector<std::int32_t> codes(count);
  Fits fits;
  if (blob.packed != nullptr) {
    fits = blob.packed->fits();
    blob.packed->Codes(0, count, codes.data());
  } else {
    fits = ul2q::FitChannels(quantizer, blob.layout, master);
    ul2q::EncodeChannels(quantizer, blob.layout, fits, master, {},
                         codes.data());
  }
  const std::shared_ptr<PackedValues> values(new PackedValues);
  PackedBlob& message = values->message_;
  *message.mutable_quantizer() = OptionsOfCodes(*blob.options);
  if (blob.layout.channel_count() > 1) {
    for (const std::int64_t number :
         {blob.layout.groups, blob.layout.outer, blob.layout.channels,
          blob.layout.inner}) {
      message.add_layout(number);
    }
  }
  const bool has_shift = std::any_of(
      fits.begin(), fits.end(), [](const auto& fit) { return fit.shift != 0; });
  for (const ul2q::ScaleShift<float>& fit : fits) {
    message.add_scale(fit.scale);
    if (has_shift) {
      message.add_shift(fit.shift);
    }
  }
  const auto numbers = ul2q::CodeNumbers::Of(quantizer);
  message.mutable_codes()->resize(ul2q::PackedSize(count, numbers.bits));
  ul2q::PackCodes(numbers, codes.data(), count,
                  MutableBytes(message.mutable_codes()));
  values->ReadQuantizer();
  values->ReadLayout(count);
  values->ReadFits();
  message.set_crc32(values->Checksum());
  if (compress) {
    Compress(numbers, count, &message);
  }
  values->ReadCodes();
  return values;
}

template <typename Dtype>
std::shared_ptr<const PackedValues> PackedValues::Behind(
    const Blob<Dtype>& master, const QuantizerParameter& options,
    const ul2q::ChannelLayout& layout) {
  if (master.count() == 0) {
    return nullptr;
  }
  const auto values = std::dynamic_pointer_cast<const PackedValues>(
      master.data()->origin().get());
  if (values == nullptr || !values->IsFor(options, layout) ||
      ul2q::CodesOf(master) != values) {
    return nullptr;
  }
  return values;
}

void PackedValues::Decode(float* values) const {
  std::vector<std::int32_t> codes(count());
  Codes(0, count(), codes.data());
  ul2q::DecodeChannels(*quantizer_, layout_, fits_, codes.data(), values);
}

void PackedValues::Write(BlobProto* proto) const {
  *proto->mutable_packed() = message_;
}

void PackedValues::Codes(std::int64_t begin, std::int64_t n,
                         std::int32_t* codes) const {
  ul2q::UnpackCodes(ul2q::CodeNumbers::Of(*quantizer_), Bytes(plain()), begin,
                    n, codes);
}

bool PackedValues::IsFor(const QuantizerParameter& options,
                         const ul2q::ChannelLayout& layout) const {
  const QuantizerParameter wanted = OptionsOfCodes(options);
  const QuantizerParameter& own = this->options();
  return own.method() == wanted.method() && own.bits() == wanted.bits() &&
         own.shift() == wanted.shift() &&
         own.granularity() == wanted.granularity() && AreSame(layout_, layout);
}

template std::shared_ptr<const PackedValues> PackedValues::Behind(
    const Blob<float>&, const QuantizerParameter&, const ul2q::ChannelLayout&);
template std::shared_ptr<const PackedValues> PackedValues::Behind(
    const Blob<double>&, const QuantizerParameter&, const ul2q::ChannelLayout&);

}  // namespace caffe
