#include "tools/options/face_options.h"

namespace advf::tools {

void FaceOptions::add_features_to(CLI::App& app) {
  app.add_option("--recogniser", recogniser, "recogniser card (.json beside its .onnx)")->required();
  add_images_to(app);
  app.add_option("--cut", cut, "the recogniser's tensor that is the feature (default: what its card says)");
}

void FaceOptions::add_to(CLI::App& app) {
  add_features_to(app);
  add_rejected_to(app);
  app.add_option("--feature-memory", memory_mib,
                 "MiB of features to hold in memory; more are kept in a temporary file (in TMPDIR)")
      ->capture_default_str()
      ->check(CLI::Range(int64_t(0), int64_t(1) << 24));
}

void FaceOptions::add_images_to(CLI::App& app) {
  app.add_option("--images", images, "folder of photographs (JPEG, PNG, BMP, PGM), searched through")
      ->required();
  app.add_option("--list", list, "use the files of this list, one path below --images per line");
  app.add_option("--eyes", eyes,
                 "mean eye centres x1,y1,x2,y2 in pixels of the photographs: crops by the card's template; "
                 "without it the whole image is used")
      ->delimiter(',')
      ->expected(4);
  add_detection_to(app);
  app.add_option(
      "--cache", cache,
      "folder where what takes long is kept and found again by other calls: faces that --detector found, and "
      "the features of whole sets where a program works on these");
  app.add_option("--max-broken", max_broken, "share of unreadable images above which the run ends")
      ->capture_default_str()
      ->check(number_in(0, 1));
}

void FaceOptions::check_cut(bool several) const {
  FaceSettings::check_cut(several);
  if (detection.used()) return;
  for (const CLI::Option* option : finding_)
    if (option->count() > 0)
      throw WrongCall(option->get_name() + " is about finding faces, which takes --detector or --landmarks");
}

void FaceOptions::add_detection_to(CLI::App& app) {
  const std::string group = "Finding faces";
  app.add_option(
         "--detector", detection.card,
         "card (.json) of a detector: finds the face in each photograph, turns it upright and cuts it out by "
         "the recogniser's template")
      ->group(group);
  app.add_option("--landmarks", detection.landmarks,
                 "CSV of another tool instead: file,x1,y1,...,x5,y5 (or the eyes alone), in pixels")
      ->group(group);
  app.add_option_function<std::string>(
         "--faces", [this](const std::string& name) { detection.choice = face_choice(name); },
         "of several faces in a photograph: largest, central, only (none or several is refused), all, or "
         "listed: the "
         "one that --list names, a.jpg#2 the second")
      ->check(CLI::IsMember(face_choice_names()))
      ->default_str(face_choice_names()[size_t(detection.choice)])
      ->group(group);
  app.add_option(
         "--detect-side", detection.view.sides,
         "pixels of the photograph's longer side as the detector sees it; several, with commas, are merged")
      ->delimiter(',')
      ->capture_default_str()
      ->check(CLI::Range(int64_t(32), int64_t(4096)))
      ->group(group);
  app.add_option("--detect-enlarge", detection.view.enlarge,
                 "most by which a photograph that is smaller than --detect-side is enlarged for the detector")
      ->capture_default_str()
      ->check(number_in(1, 8))
      ->group(group);
  app.add_option("--min-score", detection.min_score, "of a face; 0 = what the detector's card says")
      ->capture_default_str()
      ->check(number_in(0, 1))
      ->group(group);
  app.add_option("--min-face", detection.min_face, "least longer side of a face in pixels of the photograph")
      ->capture_default_str()
      ->check(number_in(1, 65535))
      ->group(group);
  app.add_option("--max-angle", detection.max_angle,
                 "most degrees that a face may be turned (roll, yaw, pitch, estimated); 90 = any")
      ->capture_default_str()
      ->check(number_in(1, 90))
      ->group(group);
  app.add_option("--max-rejected", max_rejected,
                 "share of photographs without a usable face above which the run ends")
      ->capture_default_str()
      ->check(number_in(0, 1))
      ->group(group);
  for (const char* name : {"--detector", "--landmarks", "--faces", "--detect-side", "--detect-enlarge",
                           "--min-score", "--min-face", "--max-angle"})
    finding_.push_back(app.get_option(name));
}

void FaceOptions::add_rejected_to(CLI::App& app) {
  app.add_option("--rejected", rejected,
                 "where a list (.tsv) of the photographs goes that are left out, with reasons");
}

void FaceOptions::add_labels_to(CLI::App& app) {
  app.add_option("--labels", labels,
                 "CSV with the columns file,identity; without it a person is the folder an image lies in");
}

}  // namespace advf::tools
