#include "advface/attackers/decoder_attacker.h"

#include "advface/networks/decoder.h"

namespace advf {
namespace {

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

class DecoderAttacker : public Attacker {
 public:
  explicit DecoderAttacker(const std::string& path)
      : decoder_(Decoder::load(path)), fingerprint_(file_fingerprint(path)) {}

  const Provenance& provenance() const override { return decoder_->info(); }
  const Shape& row() const override { return decoder_->info().spec.feature; }
  int image_size() const override { return decoder_->info().spec.image_size; }
  std::string kind() const override { return "decoder"; }
  std::string name() const override { return decoder_->info().spec.name; }
  Metadata settings() const override {
    const DecoderInfo& info = decoder_->info();
    Metadata list{{"decoder", quoted(info.spec.name)},
                  {"loss", quoted(info.loss)},
                  {"network", quoted(fingerprint_)},
                  {"mirrored", info.mirrored ? "true" : "false"},
                  {"people", std::to_string(info.people.size())}};
    if (info.training) {
      list["epochs"] = std::to_string(info.training->epochs);
      list["training"] = quoted(info.training->flatness.verdict);
    }
    return list;
  }
  Tensor mean_face() const override { return decoder_->statistics().mean_face; }
  Tensor attack(const Tensor& features, const Context&) const override {
    return decoder_->reconstruct(features);
  }

 private:
  std::unique_ptr<Decoder> decoder_;
  std::string fingerprint_;
};

}  // namespace

std::unique_ptr<Attacker> load_decoder_attacker(const std::string& path) {
  return std::make_unique<DecoderAttacker>(path);
}

}  // namespace advf
