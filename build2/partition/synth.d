build2/partition/synth.o: partition/synth.c partition/synth.h \
 base/error.h base/log.h partition/gguf_write.h partition/noise.h \
 partition/wordlist.h partition/weights.h partition/blocks.h \
 partition/config.h partition/gguf.h base/hash.h
partition/synth.h:
base/error.h:
base/log.h:
partition/gguf_write.h:
partition/noise.h:
partition/wordlist.h:
partition/weights.h:
partition/blocks.h:
partition/config.h:
partition/gguf.h:
base/hash.h:
