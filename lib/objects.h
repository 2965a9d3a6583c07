// What handles stand for. Each keeps what it was made of.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "advface/core/recogniser.h"
#include "advface/detect/detector.h"
#include "advface/keys/key.h"
#include "advface/networks/decoder.h"
#include "advface/protections/protection_chain.h"
#include "lib/call.h"
#include "lib/handles.h"

namespace advf::lib {

struct RecogniserObject {
  Recogniser recogniser;

  // Of this name, or the card's own where it is null. Throws Error for a name that is no cut.
  std::string cut(const char* name) const;
};

struct DetectorObject {
  Detector detector;
};

struct DecoderObject {
  std::unique_ptr<const Decoder> decoder;
};

struct KeyObject {
  std::shared_ptr<const Key> key;
};

struct ProtectionObject {
  std::shared_ptr<RecogniserObject> recogniser;  // that the chain runs; or null
  std::unique_ptr<ProtectionChain> chain;
  bool separates_records = false;
  Turns one_call;  // where the chain is not for several threads

  // Probes (N, D), row i as it is compared with record records[i].
  Tensor turned(const Tensor& probes, std::span<const int64_t> records, Control& control) const;
};

}  // namespace advf::lib
