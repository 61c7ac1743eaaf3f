package redis

// slotNodes is where nodes leave what they tell each other.
const slotNodes = "{nodes}"
