/** A style sheet is text to the module that imports it. */
declare module '*.css' {
  const text: string
  export default text
}

/** The English words, which static.go has from the package locale. */
declare module '*/english.json' {
  const words: Record<string, string | Partial<Record<Intl.LDMLPluralRule, string>>>
  export default words
}
