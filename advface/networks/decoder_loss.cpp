#include "advface/networks/decoder_loss.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "advface/networks/image_terms.h"
#include "advface/networks/recogniser_terms.h"
#include "tensor/ops.h"

namespace advf {
namespace {

template <class Spec>
std::unique_ptr<DecoderTermSpec> make_spec() {
  return std::make_unique<Spec>();
}

struct SumOfTerms : DecoderLoss {
  std::vector<std::unique_ptr<DecoderLoss>> terms;
  Tensor loss(const Tensor& images, const Tensor& faces, const std::vector<int64_t>& rows) const override {
    Tensor sum;
    for (const auto& term : terms) {
      const Tensor value = term->loss(images, faces, rows);
      sum = sum.defined() ? add(sum, value) : value;
    }
    return sum;
  }
};

}  // namespace

const std::vector<DecoderTermKind>& decoder_terms() {
  static const std::vector<DecoderTermKind> rows{
      {"l1", "the mean absolute difference of pixels, always there", make_spec<PixelTermSpec>},
      {"identity", "how far the recogniser finds the image from the feature", make_spec<IdentityTermSpec>},
      {"structure", "1 - SSIM", make_spec<StructureTermSpec>},
      {"second", "how far another recogniser finds the image from the face", make_spec<SecondTermSpec>},
  };
  return rows;
}

const DecoderTermKind& decoder_term_kind(const std::string& name) {
  for (const DecoderTermKind& kind : decoder_terms())
    if (kind.name == name) return kind;
  fail("there is no decoder loss \"", name, "\"", known_names_of(name, decoder_terms()));
}

DecoderLossSpec::DecoderLossSpec(const std::vector<std::string>& names,
                                 const std::map<std::string, std::string>& given) {
  std::set<std::string> asked{kPlainTerm}, unread;
  for (const std::string& name : names) asked.insert(decoder_term_kind(name).name);
  for (const auto& [name, text] : given) unread.insert(name);
  for (const DecoderTermKind& kind : decoder_terms()) {
    auto spec = kind.spec();
    const Settings settings = spec->settings();
    const bool by_file = std::any_of(settings.begin(), settings.end(), [&](const Setting& s) {
      return s.source == Setting::Source::file && given.contains(s.name);
    });
    if (!by_file && !asked.contains(kind.name)) continue;
    for (const Setting& s : settings)
      if (const auto text = given.find(s.name); text != given.end()) {
        s.read(text->second);
        unread.erase(s.name);
      }
    spec->check_valid();
    terms_.push_back(std::move(spec));
  }
  if (unread.empty()) return;
  std::string list;
  for (const std::string& name : asked) list += (list.empty() ? "" : ", ") + name;
  fail(option_name(*unread.begin()), " is no option of --decoder-loss ", list);
}

void DecoderLossSpec::open(const Recogniser& deployed) {
  for (const auto& term : terms_) term->open(deployed);
}

std::string DecoderLossSpec::summary() const {
  std::string text;
  for (const auto& term : terms_) {
    const std::string part = term->summary();
    if (part == kPlainTerm && terms_.size() > 1) continue;
    text += (text.empty() ? "" : "; ") + part;
  }
  return text;
}

std::unique_ptr<DecoderLoss> DecoderLossSpec::make(const DecoderLossInput& input) const {
  auto sum = std::make_unique<SumOfTerms>();
  for (const auto& spec : terms_)
    if (auto term = spec->make(input)) sum->terms.push_back(std::move(term));
  check(!sum->terms.empty(),
        "nothing is minimised: --pixel-weight is 0 and there is no other --decoder-loss");
  return sum;
}

}  // namespace advf
